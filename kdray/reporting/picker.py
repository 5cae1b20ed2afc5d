"""The picker of the page: which student `kdray best` takes under bounds that the reader sets.

The page answers by the rule of `best_student`; here is what it needs to know.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from kdray.reporting.best import Constraints, pick
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
from kdray.reporting.provenance import called
from kdray.reporting.students import Student, front_of, knee_of, quality_of

SIZE = "size_mb"
_OPTIONS = {SIZE: "--max-size-mb ", "macro_f1": "--min-macro-f1 "}
_SIDES = {"minimize": "maximum", "maximize": "minimum"}


def picker(front: Sequence[Student], chosen: Student | None) -> dict[str, Any] | None:
    """Returns what the page needs to name a student, or None if there is nothing to choose by.

    Args:
        front: The students on the front.
        chosen: The one that the headline speaks of: the page opens with what takes it.

    Returns:
        `students`: `id`, the `values` of the metrics that can be bounded, `says` (in a line) and
        `command` (that takes from its sweep). `bounds`: `metric`, `title`, `unit`, `option` of
        `kdray best` before the number and its `end` after it, `side` (`max` or `min`), `costs`
        (whether it bounds a cost: the best that fits is taken, else the smallest) and `stops`, the
        values of its slider, as texts. `quality`: the metric that decides. `unbounded`: the id of
        the knee, which is taken without bounds; None with several sweeps, as each has its own.
        `start`: the limits to open with.
    """
    if chosen is None:
        return None
    metric, directions = quality_of(chosen.sweep), _directions(chosen)
    if directions[metric] != "maximize" or any(_lacks(it, (SIZE, metric)) for it in front):
        return None
    return {
        "students": [_told(it, metric, list(directions)) for it in front],
        "bounds": [_bound(name, way, front) for name, way in directions.items()],
        "quality": metric,
        "unbounded": _knee(front),
        "start": limits(front, chosen),
    }


def take(front: Sequence[Student], student: Student) -> str:
    """Returns the command that takes this student of a front from its sweep."""
    directions, command = _directions(student), _best(student)
    for name, text in limits(front, student).items():
        option, end = _option(name, directions[name])
        command += f" {option}{text}{end}"
    return f"{command} --output student"


def limits(front: Sequence[Student], student: Student) -> dict[str, str]:
    """Returns bounds under which `kdray best` takes this student, by metric, as few as will do.

    It is its size; where that takes another student, none for the knee, else bounds on the other
    objectives as well. A student that equals another in all of them cannot be told apart.

    Args:
        front: What the page picks from; the command picks from the front of the student's sweep.
        student: One that is on both.
    """
    if _lacks(student, (SIZE,)):
        return {}
    directions = _directions(student)
    names = [name for name in directions if not _lacks(student, (name,))]
    rounded = {name: _lets_pass(student, name, directions[name]) for name in names}
    if any(_lacks(it, (SIZE, quality_of(it.sweep))) for it in front):
        return {SIZE: rounded[SIZE]}
    more = [[SIZE], [], *(names[:n] for n in range(2, len(names) + 1))]
    tried = [{name: rounded[name] for name in some} for some in more]
    exact = {name: repr(float(student.row[name])) for name in names}
    return next((given for given in tried if _takes(front, student, given)), exact)


def _takes(front: Sequence[Student], student: Student, given: Mapping[str, str]) -> bool:
    """Whether both the page and the command take it."""
    directions, own = _directions(student), front_of([student.sweep])
    several = any(it.place != front[0].place for it in front)
    if several and not given:
        return False
    bounds = {name: {_SIDES[directions[name]]: float(text)} for name, text in given.items()}
    page, command = (_picked(one, Constraints(bounds=bounds)) for one in (front, own))
    mine = student.row["trial_id"]
    return page is student and command is not None and command.row["trial_id"] == mine


def _picked(front: Sequence[Student], constraints: Constraints) -> Student | None:
    sweep = front[0].sweep
    rows = [it.row for it in front]
    row = pick(rows, constraints, sweep.config["objectives"], sweep.summary["teacher"])
    return next((it for it in front if it.row is row), None)


def _directions(student: Student) -> dict[str, Direction]:
    """What can be bounded, and what is better; the size and the quality first."""
    objectives, metric = student.sweep.config["objectives"], quality_of(student.sweep)
    directions = {name: objective(name, way).direction for name, way in objectives.items()}
    return {SIZE: "minimize", metric: objective(metric).direction, **directions}


def _lets_pass(student: Student, metric: str, direction: Direction) -> str:
    value = float(student.row[metric])
    return at_least(value) if direction == "minimize" else at_most(value)


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
    about = "about " if beside.busy else ""
    return f"{line}, {about}{times(beside.speedup)} its speed" if beside.speedup else line


def _best(student: Student) -> str:
    return f"kdray best {called(student.sweep.folder)}"


def _bound(metric: str, direction: Direction, front: Sequence[Student]) -> dict[str, Any]:
    known, smaller = objective(metric, direction), direction == "minimize"
    option, end = _option(metric, direction)
    values = sorted(float(it.row[metric]) for it in front if not _lacks(it, (metric,)))
    return {
        "metric": metric,
        "title": f"{'Largest' if smaller else 'Least'} {known.label}",
        "unit": known.unit,
        "option": option,
        "end": end,
        "side": "max" if smaller else "min",
        "costs": known.kind in ("cost", "rate"),
        "stops": list(dict.fromkeys(map(at_least if smaller else at_most, values))),
    }


def _option(metric: str, direction: Direction) -> tuple[str, str]:
    """Returns what stands before the number and after it: a label in the metric is quoted."""
    if metric in _OPTIONS:
        return _OPTIONS[metric], ""
    assigned = shlex.quote(f"{metric}=0")
    before, _, after = assigned.rpartition("0")
    return f"--{'max' if direction == 'minimize' else 'min'} {before}", after


def _knee(front: Sequence[Student]) -> str | None:
    several = any(it.place != front[0].place for it in front)
    return None if several else knee_of(front).id
