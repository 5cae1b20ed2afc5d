"""What the report of a sweep says, as plain text and rows: both templates print the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdray.reporting.baselines import baselines_said
from kdray.reporting.charts.base import Read
from kdray.reporting.confidence import confidence, knee_moved
from kdray.reporting.constraints import in_words, none_feasible
from kdray.reporting.formats import duration, measured, quality
from kdray.reporting.headline import Row, against, sentence
from kdray.reporting.idle import idle_terms_said
from kdray.reporting.mistake_tables import mistakes
from kdray.reporting.objectives import objective
from kdray.reporting.picker import picker, said, take
from kdray.reporting.provenance import provenance, report_command
from kdray.reporting.stored import WEIGHTS, formats_said, stored_as
from kdray.reporting.students import Student, chosen_of, front_of, knee_of, quality_of
from kdray.reporting.tables import failed_table, front_table, infeasible_table
from kdray.results.feasibility import Bounds


@dataclass(frozen=True)
class Findings:
    """What else is known of a sweep.

    Attributes:
        sweep: What is in `sweep.yaml`: versions, commit and command beside the configuration.
        problems: What verification found wrong with the teacher.
        errors: What is in `errors.json`, if it is there.
    """

    sweep: Mapping[str, Any]
    problems: Sequence[str] = ()
    errors: Mapping[str, Any] | None = None


def build_context(sweep: Read, found: Findings) -> dict[str, Any]:
    """Returns everything that the templates print of one sweep, nothing of it escaped.

    Args:
        sweep: Its tables and configuration.
        found: What else is known.
    """
    config, summary, metric = sweep.config, sweep.summary, quality_of(sweep)
    rows = [{**row, WEIGHTS: stored_as(row, config)} for row in sweep.rows]
    front = front_of([sweep])
    chosen = chosen_of(front)
    row = None if chosen is None else chosen.row
    constraints = config.get("constraints", {})
    nothing = _nothing(summary, {one["trial_id"]: one for one in rows}, constraints)
    return {
        **opening(front, chosen, nothing),
        "name": summary["name"],
        "sweeps": None,
        "problems": [f"The teacher did not pass verification. {one}" for one in found.problems],
        "tiles": _tiles(summary),
        "measured": measured_how(sweep),
        "notes": " ".join(filter(None, _notes(rows, summary))),
        "baselines": baselines_said(summary),
        "front": front_table([it.row for it in front], row, summary["teacher"], config, metric),
        "errors": mistakes(found.errors, row),
        "constraints": in_words(constraints),
        "infeasible": infeasible_table(rows, list({**constraints, **config["objectives"]})),
        "failed": failed_table(rows),
        "provenance": [provenance(summary["name"], sweep.folder, found.sweep)],
        "report_command": report_command([sweep.folder]),
    }


def opening(front: Sequence[Student], chosen: Student | None, nothing: str) -> dict[str, Any]:
    """Returns the headline, the student that it speaks of, and how far it is to be trusted.

    Args:
        front: The students on the front.
        chosen: The one to speak of; None if there is none.
        nothing: The headline then.
    """
    if chosen is None:
        subline = "There is no student to show. What is known of the trials is below."
        empty = dict.fromkeys(("picker", "picked", "take", "knees", "confidence"))
        return {"headline": nothing, "subline": subline, "on_test": False, **empty}
    teacher, metric = chosen.sweep.summary["teacher"], quality_of(chosen.sweep)
    return {
        "headline": _headline(chosen),
        "subline": f"{_subline(chosen, alone=len(front) == 1)}{_other_knee(front, chosen)}",
        "on_test": against(chosen.row, teacher, metric).split == "test",
        "picker": picker(front, chosen),
        "picked": {"id": chosen.id, "says": said(chosen, metric)},
        "take": take(front, chosen),
        "knees": ", ".join(_knees(front)),
        "confidence": confidence(front),
    }


def _headline(chosen: Student) -> str:
    """The sentence, and in a report of one sweep where other seeds see the knee, if elsewhere."""
    sweep = chosen.sweep
    told = sentence(chosen.row, sweep.summary["teacher"], quality_of(sweep))
    moved = knee_moved(sweep) if chosen.id == chosen.row["trial_id"] else ""
    return f"{told}. {moved}" if moved else told


def measured_how(sweep: Read) -> str:
    """Returns in words what was searched for, and what the hypervolume is a share of."""
    config, summary = sweep.config, sweep.summary
    constraints = in_words(config.get("constraints", {}))
    kept = f" Constraints: {constraints}; only trials that keep to them count."
    reference = _reference(summary["reference_point"], config["objectives"])
    return (
        f"Objectives: {_objectives(config['objectives'])}.{kept if constraints else ''} The "
        f"hypervolume is measured from the reference point ({reference}) and is a share of the box "
        "from there to the ideal; 1 is a student that is as good as its teacher and costs nothing."
    )


def _tiles(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    counts = summary["trials"]
    return [
        ("completed", str(counts["completed"])),
        ("stopped early", str(counts["stopped_early"])),
        ("failed", str(counts["failed"])),
        ("hypervolume", quality(summary["hypervolume"])),
        ("duration", duration(summary["duration_s"])),
        ("at work, all slots", duration(summary["busy_s"])),
    ]


def _nothing(summary: Mapping[str, Any], by_id: Mapping[str, Row], constraints: Bounds) -> str:
    counts = summary["trials"]
    if "nearest" in summary:
        return none_feasible(by_id[summary["nearest"]], constraints)
    if counts["completed"]:
        return "No completed trial has a value for every objective"
    rest = f"{counts['stopped_early']} stopped early, {counts['failed']} failed"
    return f"No trial completed: {rest}"


def _knees(front: Sequence[Student]) -> list[str]:
    """The knee of each sweep's own front, as the report calls it."""
    called: dict[int, str] = {}
    for it in front:
        trial_id = str(it.row["trial_id"])
        before = it.id.removesuffix(trial_id)
        called[it.place] = before + str(knee_of(front_of([it.sweep])).row["trial_id"])
    return [called[place] for place in sorted(called)]


def _subline(chosen: Student, *, alone: bool) -> str:
    """How the headline's student was chosen and where its quality was measured."""
    found = against(chosen.row, chosen.sweep.summary["teacher"], quality_of(chosen.sweep))
    small = found.size is not None and found.size <= 0.5
    knee = "the only one on the front" if alone else "the knee of the front"
    why = "the best of at most half the teacher's size" if small else knee
    measured_on = "then measured once on test" if found.split == "test" else "test was not measured"
    return f"Trial {chosen.id}, {why}: chosen on validation, {measured_on}."


def _other_knee(front: Sequence[Student], chosen: Student) -> str:
    """Names the knee, if it is another student of the same sweep."""
    if any(it.place != chosen.place for it in front) or knee_of(front) is chosen:
        return ""
    return f" The knee of the front is trial {knee_of(front).id}."


def _objectives(objectives: Mapping[str, str]) -> str:
    return ", ".join(f"{way} {objective(name).label}" for name, way in objectives.items())


def _teacher_read(summary: Mapping[str, Any]) -> str:
    """How often the teacher was run, and what was not kept of what it said."""
    outputs, count = summary.get("teacher_outputs", {}), summary["teacher_forward_examples"]
    members = summary.get("teacher_members", ())
    read = f"The teacher read {count:,} examples"
    if members:
        read = (
            f"The teacher is an ensemble of {len(members)}: its quality is that of their mean "
            "probability, its size, time and parameters are the sum of theirs. Together they read "
            f"{count:,} examples"
        )
    if outputs.get("in_loop"):
        names = ", ".join(outputs["in_loop"])
        return f"{read}; computed in the trials' loops, as teacher.cache did not keep it: {names}."
    if outputs.get("reused"):
        return f"{read}: outputs of an earlier sweep on the same teacher and data were reused."
    return f"{read}, once for all trials."


def _notes(rows: Sequence[Row], summary: Mapping[str, Any]) -> list[str]:
    return [formats_said(rows), _teacher_read(summary), idle_terms_said(rows)]


def _reference(point: Mapping[str, float], objectives: Mapping[str, Any]) -> str:
    """The reference point in words: "macro-F1 0.310, size 7.3 MB"."""
    rows = {name: objective(name, objectives.get(name)) for name in point}
    return ", ".join(
        f"{row.label} {measured(name, point[name])} {row.unit}".strip()
        for name, row in rows.items()
    )
