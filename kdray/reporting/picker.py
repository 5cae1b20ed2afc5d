"""The picker of the page: which student `kdray best` takes under bounds that the reader sets.

The page answers by the rule of `best_student`; here is what it needs to know.
"""

import shlex
from collections.abc import Sequence
from typing import Any

from kdray.reporting.formats import (
    at_least,
    at_most,
    is_missing,
    measured,
    percent,
    portion,
    short,
    times,
)
from kdray.reporting.headline import against
from kdray.reporting.objectives import objective
from kdray.reporting.pareto import Direction
from kdray.reporting.students import Student, knee_of, quality_of

SIZE = "size_mb"
_OPTIONS = {SIZE: "--max-size-mb ", "macro_f1": "--min-macro-f1 "}


def picker(front: Sequence[Student], chosen: Student | None) -> dict[str, Any] | None:
    """Returns what the page needs to name a student, or None if there is nothing to choose by.

    Args:
        front: The students on the front.
        chosen: The one that the headline speaks of: the page opens with its size as the limit.

    Returns:
        `students`: `id`, the `values` of the metrics that can be bounded, `says` (in a line) and
        `command` (that takes from its sweep). `bounds`: `metric`, `title`, `unit`, `option` of
        `kdray best`, `side` (`max` or `min`), `costs` (whether it bounds a cost: the best that
        fits is taken, else the smallest) and `stops`, the values of its slider, as texts.
        `quality`: the metric that decides. `unbounded`: the id of the knee, which is taken without
        bounds; None with several sweeps, as each has its own. `start`: the limit to open with.
    """
    if chosen is None:
        return None
    objectives, metric = chosen.sweep.config["objectives"], quality_of(chosen.sweep)
    directions = {name: objective(name, way).direction for name, way in objectives.items()}
    directions = {SIZE: "minimize", metric: objective(metric).direction, **directions}
    if directions[metric] != "maximize" or any(_lacks(it, (SIZE, metric)) for it in front):
        return None
    return {
        "students": [_told(it, metric, list(directions)) for it in front],
        "bounds": [_bound(name, way, front) for name, way in directions.items()],
        "quality": metric,
        "unbounded": _knee(front),
        "start": at_least(float(chosen.row[SIZE])),
    }


def take(student: Student) -> str:
    """Returns the command that takes this student from its sweep, as the best of its size."""
    limit = "" if _lacks(student, (SIZE,)) else f" {_OPTIONS[SIZE]}{at_least(student.row[SIZE])}"
    return f"{_best(student)}{limit} --output student"


def _lacks(student: Student, metrics: Sequence[str]) -> bool:
    return any(is_missing(student.row.get(metric)) for metric in metrics)


def _told(student: Student, metric: str, bounded: Sequence[str]) -> dict[str, Any]:
    values = {name: student.row[name] for name in bounded if not _lacks(student, (name,))}
    return {
        "id": student.id,
        "values": {name: float(value) for name, value in values.items()},
        "says": said(student, metric),
        "command": _best(student),
    }


def said(student: Student, metric: str) -> str:
    """Returns what a student is beside its teacher, in a line."""
    row = student.row
    beside = against(row, student.sweep.summary["teacher"], metric)
    line = f"{measured(metric, row[metric])} {objective(metric).label} on validation"
    if beside.split == "test":
        line += f" ({measured(metric, beside.quality)} on test)"
    line += f" at {short(row.get(SIZE))} MB"
    if beside.retention is not None and beside.size is not None:
        line += (
            f": {percent(beside.retention)} of the teacher at {portion(beside.size)} of its size"
        )
    return f"{line}, {times(beside.speedup)} its speed" if beside.speedup else line


def _best(student: Student) -> str:
    return f"kdray best {shlex.quote(f'runs/{student.sweep.folder.name}')}"


def _bound(metric: str, direction: Direction, front: Sequence[Student]) -> dict[str, Any]:
    known, smaller = objective(metric, direction), direction == "minimize"
    values = sorted(float(it.row[metric]) for it in front if not _lacks(it, (metric,)))
    return {
        "metric": metric,
        "title": f"{'Largest' if smaller else 'Least'} {known.label}",
        "unit": known.unit,
        "option": _OPTIONS.get(metric, f"--{'max' if smaller else 'min'} {metric}="),
        "side": "max" if smaller else "min",
        "costs": known.kind in ("cost", "rate"),
        "stops": list(dict.fromkeys(map(at_least if smaller else at_most, values))),
    }


def _knee(front: Sequence[Student]) -> str | None:
    several = any(it.place != front[0].place for it in front)
    return None if several else knee_of(front).id
