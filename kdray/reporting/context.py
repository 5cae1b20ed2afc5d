"""What a report says, as plain text and rows: both templates print the same."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from kdray.reporting.baselines import baselines_said
from kdray.reporting.constraints import in_words, none_feasible
from kdray.reporting.formats import at_least, duration, is_missing, measured, quality
from kdray.reporting.headline import Row, against, choose, quality_metric, sentence
from kdray.reporting.mistake_tables import mistakes
from kdray.reporting.objectives import objective
from kdray.reporting.stored import WEIGHTS, formats_said, stored_as
from kdray.reporting.tables import failed_table, front_table, infeasible_table
from kdray.results.feasibility import Bounds


@dataclass(frozen=True)
class Findings:
    """What else is known of a sweep.

    Attributes:
        problems: What verification found wrong with the teacher.
        errors: What is in `errors.json`, if it is there.
    """

    problems: Sequence[str] = ()
    errors: Mapping[str, Any] | None = None


def build_context(
    rows: Sequence[Row],
    summary: Mapping[str, Any],
    sweep: Mapping[str, Any],
    found: Findings = Findings(),
) -> dict[str, Any]:
    """Returns everything that the templates print, nothing of it escaped.

    Args:
        rows: Rows of `trials.csv`.
        summary: What is in `summary.json`.
        sweep: What is in `sweep.yaml`.
        found: What else is known.
    """
    config, teacher = sweep["config"], summary["teacher"]
    metric = quality_metric(config["objectives"], teacher)
    rows = [{**row, WEIGHTS: stored_as(row, config)} for row in rows]
    by_id = {row["trial_id"]: row for row in rows}
    front = [by_id[trial_id] for trial_id in summary["front"]]
    chosen = choose(front, teacher, config["objectives"])
    constraints = config.get("constraints", {})
    nothing = _nothing(summary, by_id, constraints)
    return {
        "name": summary["name"],
        "headline": sentence(chosen, teacher, metric) if chosen else nothing,
        "subline": _subline(chosen, teacher, metric, alone=len(front) == 1),
        "on_test": chosen is not None and against(chosen, teacher, metric).split == "test",
        "problems": list(found.problems),
        "errors": mistakes(found.errors, chosen),
        "counts": summary["trials"],
        "objectives": _objectives(config["objectives"]),
        "hypervolume": quality(summary["hypervolume"]),
        "reference": _reference(summary["reference_point"], config["objectives"]),
        "duration": duration(summary["duration_s"]),
        "busy": duration(summary["busy_s"]),
        "teacher_read": _teacher_read(summary),
        "stored": formats_said(rows),
        "baselines": baselines_said(summary),
        "front": front_table(front, chosen, teacher, config, metric),
        "constraints": in_words(constraints),
        "infeasible": infeasible_table(rows, list({**constraints, **config["objectives"]})),
        "failed": failed_table(rows),
        "best": _best_command(chosen, summary["name"]),
        **_provenance(sweep, summary["name"]),
    }


def _nothing(summary: Mapping[str, Any], by_id: Mapping[str, Row], constraints: Bounds) -> str:
    counts = summary["trials"]
    if "nearest" in summary:
        return none_feasible(by_id[summary["nearest"]], constraints)
    if counts["completed"]:
        return "No completed trial has a value for every objective"
    rest = f"{counts['stopped_early']} stopped early, {counts['failed']} failed"
    return f"No trial completed: {rest}"


def _subline(chosen: Row | None, teacher: Row, metric: str, *, alone: bool) -> str:
    """How the headline's student was chosen and where its quality was measured."""
    if chosen is None:
        return "There is no student to show. What is known of the trials is below."
    found = against(chosen, teacher, metric)
    small = found.size is not None and found.size <= 0.5
    knee = "the only one on the front" if alone else "the knee of the front"
    why = "the best of at most half the teacher's size" if small else knee
    measured_on = "then measured once on test" if found.split == "test" else "test was not measured"
    return f"Trial {chosen['trial_id']}, {why}: chosen on validation, {measured_on}."


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


def _reference(point: Mapping[str, float], objectives: Mapping[str, Any]) -> str:
    """The reference point in words: "macro-F1 0.310, size 7.3 MB"."""
    rows = {name: objective(name, objectives.get(name)) for name in point}
    return ", ".join(
        f"{row.label} {measured(name, point[name])} {row.unit}".strip()
        for name, row in rows.items()
    )


def _best_command(chosen: Row | None, name: str) -> str:
    command = f"kdray best {shlex.quote(f'runs/{name}')}"
    if chosen is not None and not is_missing(chosen.get("size_mb")):
        command += f" --max-size-mb {at_least(chosen['size_mb'])}"
    return f"{command} --output student"


def _provenance(sweep: Mapping[str, Any], name: str) -> dict[str, Any]:
    space = yaml.safe_dump(sweep["config"], sort_keys=False, allow_unicode=True)
    return {
        "space": _without_passwords(space),
        "seed": str(sweep["config"].get("seed", "not recorded")),
        "commit": sweep.get("git_commit") or "not recorded",
        "versions": {"kdray": sweep.get("kdray", "?"), **sweep.get("versions", {})},
        "command": _without_passwords(str(sweep.get("command") or "not recorded")),
        "report_command": f"kdray report {shlex.quote(f'runs/{name}')}",
    }


def _without_passwords(text: str) -> str:
    # Reports are published, and a tracking URI may be https://user:password@host.
    return re.sub(r"://[^/@\s]+@", "://***@", text)
