"""What other seeds say of the front: means with intervals, and whether the winner was only lucky.

It is told from `confirmation.json`, which `kdray confirm` writes.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kdray.reporting.confirmation import Interval, interval_of
from kdray.reporting.formats import MISSING, is_missing, measured
from kdray.reporting.headline import Row, choose
from kdray.reporting.objectives import objective
from kdray.reporting.pareto import Direction, non_dominated
from kdray.reporting.students import Student, quality_of
from kdray.reporting.tables import Table


def confirmed(student: Student, metric: str) -> Interval | None:
    """Returns what a student reaches with other seeds in a metric; None if that is not known."""
    file = student.sweep.folder.confirmation_json
    if not file.is_file():
        return None
    trials = json.loads(file.read_text(encoding="utf-8"))["trials"]
    found = interval_of(trials.get(student.row["trial_id"], []), metric)
    return found if found.runs else None


def confidence(front: Sequence[Student], chosen: Student | None) -> dict[str, Any] | None:
    """Returns the report's section on other seeds, or None if none were tried.

    Args:
        front: The students on the front.
        chosen: The one that the headline speaks of.

    Returns:
        `table`, and `says`: whether the winner keeps its place.
    """
    if chosen is None:
        return None
    metric = quality_of(chosen.sweep)
    known = {it.id: found for it in front if (found := confirmed(it, metric)) is not None}
    if not known:
        return None
    objectives = chosen.sweep.config["objectives"]
    again = [it for it in front if it.id in known]
    rows = {it.id: _mean_row(it, objectives) for it in again}
    points = [[rows[it.id][name] for name in objectives] for it in again]
    mask = np.asarray(non_dominated(points, list(objectives.values())))
    kept = [it for it, is_on in zip(again, mask, strict=True) if is_on]
    return {
        "table": _table(front, chosen, kept, metric),
        "says": _verdict(chosen, [rows[it.id] for it in kept], kept, known),
    }


def _mean_row(student: Student, objectives: Mapping[str, Direction]) -> Row:
    means = {name: confirmed(student, name) for name in objectives}
    return {**student.row, **{name: it.mean for name, it in means.items() if it is not None}}


def _verdict(
    chosen: Student, rows: Sequence[Row], kept: Sequence[Student], known: Mapping[str, Interval]
) -> str:
    """Whether the same rule, asked of the means, takes the same student."""
    if chosen.id not in known:
        return f"Trial {chosen.id} was not trained again, so its place is not confirmed."
    sweep, metric = chosen.sweep, quality_of(chosen.sweep)
    winner = choose(rows, sweep.summary["teacher"], sweep.config["objectives"])
    new = kept[next(n for n, row in enumerate(rows) if row is winner)]
    mine, its = known[chosen.id], known[new.id]
    seeds = f"{mine.runs} other seed{'s' if mine.runs > 1 else ''}"
    before = f"{measured(metric, chosen.row[metric])} with the seed of the sweep"
    if new.id == chosen.id:
        return (
            f"Trial {chosen.id} keeps its place: with {seeds} it is still the one to take, at "
            f"{with_interval(metric, mine)} {objective(metric).label} on validation ({before})."
        )
    apart = "overlap: seeds alone may decide" if _overlap(mine, its) else "do not overlap"
    return (
        f"Trial {chosen.id} loses its place: with {seeds} it reaches {with_interval(metric, mine)} "
        f"{objective(metric).label} on validation ({before}), and trial {new.id} would be taken, "
        f"with {with_interval(metric, its)}. The two intervals {apart}."
    )


def _table(
    front: Sequence[Student], chosen: Student, kept: Sequence[Student], metric: str
) -> Table:
    label = objective(metric).label
    heads = ["trial", f"{label}, sweep's seed", f"{label}, validation", f"{label}, test"]
    heads += ["size (MB)", "seeds", "still on the front"]
    rows = []
    for it in front:
        found = [confirmed(it, name) for name in (metric, f"test_{metric}", "size_mb")]
        metrics = (metric, metric, "size_mb")
        told = [with_interval(name, one) for name, one in zip(metrics, found, strict=True)]
        seeds = MISSING if found[0] is None else str(found[0].runs)
        still = MISSING if found[0] is None else "yes" if it in kept else "no"
        cells = [it.id, measured(metric, it.row[metric]), *told, seeds, still]
        rows.append({"kind": "chosen" if it is chosen else "", "cells": cells})
    columns = [{"name": name, "numeric": 0 < n < 6} for n, name in enumerate(heads)]
    return {"columns": columns, "rows": rows}


def _overlap(one: Interval, other: Interval) -> bool:
    return abs(one.mean - other.mean) <= half(one) + half(other)


def half(found: Interval) -> float:
    """Returns half the width of an interval; 0 for a single run, which has none."""
    return 0.0 if is_missing(found.half_width) else found.half_width


def with_interval(metric: str, found: Interval | None) -> str:
    """Returns "0.741 ± 0.012"; what does not vary, as most sizes, has no interval."""
    if found is None:
        return MISSING
    mean = measured(metric, found.mean)
    return f"{mean} ± {measured(metric, found.half_width)}" if half(found) else mean
