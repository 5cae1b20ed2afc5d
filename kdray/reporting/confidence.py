"""What other seeds say of the front: means with intervals, and whether the knee was only lucky.

It is told from `confirmation.json`, which `kdray confirm` writes, in the words of `kdray confirm`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from kdray.reporting.charts.base import Read
from kdray.reporting.confirmation import Interval, Judged, Verdict, interval_of, means, verdict
from kdray.reporting.formats import MISSING, is_missing, measured
from kdray.reporting.objectives import objective
from kdray.reporting.students import Student, front_of, knee_of, quality_of
from kdray.reporting.summary import front_ids
from kdray.reporting.tables import Table
from kdray.results.feasibility import is_feasible
from kdray.results.records import TrialResult

Runs = Sequence[Mapping[str, Any]]


def confirmed(student: Student, metric: str) -> Interval | None:
    """Returns what a student reaches with other seeds in a metric; None if that is not known."""
    runs = _trials(student.sweep).get(student.row["trial_id"], [])
    found = interval_of(runs, metric)
    return found if found.runs else None


def confidence(front: Sequence[Student]) -> dict[str, Any] | None:
    """Returns the report's section on other seeds, or None if none were tried.

    Args:
        front: The students on the front, of one sweep or of several.

    Returns:
        `table`, and `says`: whether the knee of each sweep's own front keeps its place.
    """
    if not any(confirmed(it, quality_of(it.sweep)) for it in front):
        return None
    sweeps = {it.place: it.sweep for it in front}
    told = {
        place: _verdict(sweep)
        for place, sweep in sorted(sweeps.items())
        if sweep.folder.confirmation_json.is_file()
    }
    several = len(sweeps) > 1
    says = [f"{sweeps[n].folder.name}: {said}" if several else said for n, said in told.items()]
    return {"table": _table(front, _kept(front)), "says": " ".join(says)}


def _trials(sweep: Read) -> dict[str, Runs]:
    file = sweep.folder.confirmation_json
    if not file.is_file():
        return {}
    found: dict[str, Runs] = json.loads(file.read_text(encoding="utf-8"))["trials"]
    return found


def other_seeds_said(student: Student) -> str:
    """Returns what a student reaches with other seeds, and where the knee moves; else nothing."""
    metric = quality_of(student.sweep)
    found, on_test = (confirmed(student, name) for name in (metric, f"test_{metric}"))
    if found is None:
        return ""
    runs = f"{found.runs} other seed{'s' * (found.runs != 1)}"
    said = f"With {runs} its {objective(metric).label} is {with_interval(metric, found)}"
    test = "" if on_test is None else f", and {with_interval(metric, on_test)} on test"
    moved = knee_moved(student.sweep)
    return f"{said} on validation{test}." + (f" {moved}." if moved else "")


def knee_moved(sweep: Read) -> str:
    """Returns where other seeds see the knee of a sweep's front, if not where the sweep does."""
    front, trials = front_of([sweep]), _trials(sweep)
    if not front or not all(trials.get(it.id) for it in front):
        return ""
    found = _judged(front, trials)
    if found.keeps_place or found.knee is None:
        return ""
    return f"With other seeds the knee of the front is {found.knee}, not {found.winner}"


def _verdict(sweep: Read) -> str:
    """What `kdray confirm` says of a sweep's own front."""
    front, trials = front_of([sweep]), _trials(sweep)
    without = [it.id for it in front if not trials.get(it.id)]
    if without:
        ids, were = ", ".join(without), "was" if len(without) == 1 else "were"
        return (
            f"Trial {knee_of(front).id}, the knee of the front, is not confirmed, as {ids} "
            f"{were} not trained again: go on with `kdray confirm`."
        )
    return _judged(front, trials).said


def _judged(front: Sequence[Student], trials: Mapping[str, Runs]) -> Verdict:
    sweep = front[0].sweep
    config, metric = sweep.config, quality_of(sweep)
    names = {metric, *config["objectives"]}
    known = [{n: float(it.row[n]) for n in names if not is_missing(it.row.get(n))} for it in front]
    results = [
        TrialResult(it.id, "completed", metrics=metrics)
        for it, metrics in zip(front, known, strict=True)
    ]
    judged = Judged(results, config["objectives"], config.get("constraints") or {}, metric)
    return verdict(judged, trials)


def _kept(front: Sequence[Student]) -> set[str]:
    """The students that are on the front of the means, by what the report calls them."""
    found = {it.id: means(_trials(it.sweep).get(it.row["trial_id"], [])) for it in front}
    results = [
        TrialResult(it.id, "completed", metrics=found[it.id])
        for it in front
        if is_feasible(found[it.id], it.sweep.config.get("constraints") or {})
    ]
    return set(front_ids(results, front[0].sweep.config["objectives"]))


def _table(front: Sequence[Student], kept: set[str]) -> Table:
    metric = quality_of(front[0].sweep)
    label = objective(metric).label
    heads = ["trial", f"{label}, sweep's seed", f"{label}, validation", f"{label}, test"]
    heads += ["size (MB)", "seeds", "still on the front"]
    knees = {it.place: knee_of(front_of([it.sweep])).row["trial_id"] for it in front}
    rows = []
    for it in front:
        found = [confirmed(it, name) for name in (metric, f"test_{metric}", "size_mb")]
        metrics = (metric, metric, "size_mb")
        told = [with_interval(name, one) for name, one in zip(metrics, found, strict=True)]
        seeds = MISSING if found[0] is None else str(found[0].runs)
        still = MISSING if found[0] is None else "yes" if it.id in kept else "no"
        cells = [it.id, measured(metric, it.row[metric]), *told, seeds, still]
        is_knee = it.row["trial_id"] == knees[it.place]
        rows.append({"kind": "chosen" if is_knee else "", "cells": cells})
    columns = [{"name": name, "numeric": 0 < n < 6} for n, name in enumerate(heads)]
    return {"columns": columns, "rows": rows}


def half(found: Interval) -> float:
    """Returns half the width of an interval; 0 for a single run, which has none."""
    return 0.0 if is_missing(found.half_width) else found.half_width


def with_interval(metric: str, found: Interval | None) -> str:
    """Returns "0.741 ± 0.012"; what does not vary, as most sizes, has no interval."""
    if found is None:
        return MISSING
    mean = measured(metric, found.mean)
    return f"{mean} ± {measured(metric, found.half_width)}" if half(found) else mean
