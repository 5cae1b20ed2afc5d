"""Checking the names of metrics: in `objectives`, `constraints` and `teacher.verify`."""

from collections.abc import Iterable, Mapping
from typing import Any

from kdray.config.sections import Bound, Teacher
from kdray.config.validation import checked, dotted, nearest, shown
from kdray.data.base import DataSource, Labels
from kdray.errors import Problem
from kdray.evaluation.metrics import QUALITY, known_metrics
from kdray.results.feasibility import Bounds

CLASS_METRIC = "f1_"


def objective_problems(objectives: Any, data: DataSource | None) -> list[Problem]:
    """Returns what is wrong with `objectives`.

    Args:
        objectives: What the file holds.
        data: The data source, if it is valid.
    """
    if not isinstance(objectives, Mapping) or not objectives:
        rule = "must map metrics to maximize or minimize, such as {macro_f1: maximize}"
        return [Problem("objectives", f"{rule}, but got {shown(objectives)}")]
    known: dict[Any, str] = dict(known_metrics(data))
    problems = []
    for name, direction in objectives.items():
        wanted = "maximize" if _may_be_a_class(name, data) else known.get(name)
        if wanted is None:
            message = f"no such metric{nearest(name, known)}"
            problems.append(Problem(dotted("objectives", name), message))
        elif direction != wanted:
            message = f"must be {wanted!r}, but got {shown(direction)}"
            problems.append(Problem(dotted("objectives", name), message))
    return problems


def checked_constraints(value: Any, data: DataSource | None) -> tuple[Bounds, list[Problem]]:
    """Returns the bounds that `constraints` holds, and what is wrong with it.

    Args:
        value: What the file holds.
        data: The data source, if it is valid.
    """
    if not isinstance(value, Mapping):
        rule = "must map metrics to bounds, such as {size_mb: {maximum: 2.0}}"
        return {}, [Problem("constraints", f"{rule}, but got {shown(value)}")]
    bounds: dict[str, dict[str, float]] = {}
    problems: list[Problem] = []
    for name, sides in value.items():
        where = dotted("constraints", name)
        bound, wrong = checked(Bound, sides, where)
        problems += [*_constrained_problems(name, where, data), *wrong]
        bounds[name] = {} if bound is None else bound.model_dump(exclude_none=True)
    return bounds, problems


def _constrained_problems(name: Any, where: str, data: DataSource | None) -> list[Problem]:
    # Retention needs a teacher's value, so it is no metric of the table, but every trial has it.
    known = [*known_metrics(data), "retention"]
    if name in known or _may_be_a_class(name, data):
        return []
    validated = str(name).removeprefix("test_")
    if validated != name and (validated in known or _may_be_a_class(validated, data)):
        message = f"is measured on test, which decides nothing; constrain {validated!r} instead"
        return [Problem(where, message)]
    return [Problem(where, f"no such metric{nearest(name, known)}")]


def verification_problems(teacher: Teacher | None, data: DataSource | None) -> list[Problem]:
    """Returns what is wrong with the metric that decides whether a teacher is good enough."""
    if teacher is None or _may_be_a_class(teacher.verify.metric, data):
        return []
    name, known = teacher.verify.metric, known_metrics(data)
    quality = [metric for metric in known if metric in QUALITY or metric.startswith(CLASS_METRIC)]
    if name in quality:
        return []
    reason = "measures no quality" if name in known else "no such metric"
    return [Problem("teacher.verify.metric", f"{reason}: {name!r}{nearest(name, quality)}")]


def class_metric_problems(
    objectives: Iterable[str], constraints: Iterable[str], teacher: Teacher, labels: Labels
) -> list[Problem]:
    """Returns every `f1_<class>` that names no class, once the data are read."""
    named = {dotted("objectives", name): name for name in objectives}
    named |= {dotted("constraints", name): name for name in constraints}
    named["teacher.verify.metric"] = teacher.verify.metric
    known = [CLASS_METRIC + name for name in labels.names]
    return [
        Problem(where, f"no such class: {name!r}{nearest(name, known)}")
        for where, name in named.items()
        if name.startswith(CLASS_METRIC) and name not in known
    ]


def _may_be_a_class(name: Any, data: DataSource | None) -> bool:
    """Returns whether this is the F1 of a class that only the data can tell."""
    unknown = data is None or isinstance(data.labels, str)
    return unknown and isinstance(name, str) and name.startswith(CLASS_METRIC)
