"""Checking the names of metrics: in `objectives`, `constraints` and `teacher.verify`."""

from collections.abc import Iterable, Mapping
from typing import Any

from kdray.config.sections import Bound, Direction, Evaluation
from kdray.config.teachers import Teacher
from kdray.config.validation import checked, dotted, nearest, shown
from kdray.data.base import DataSource, Labels
from kdray.errors import ConfigError, Problem
from kdray.evaluation.metrics import (
    NEVER_DECIDES,
    NOISE,
    PREDICTED,
    QUALITY,
    known_metrics,
    selection_metric,
)
from kdray.results.feasibility import Bounds

CLASS_METRIC = "f1_"


def objective_problems(
    objectives: Any, data: DataSource | None, evaluation: Evaluation | None
) -> list[Problem]:
    """Returns what is wrong with `objectives`.

    Args:
        objectives: What the file holds.
        data: The data source, if it is valid.
        evaluation: How students are measured, if that is valid.
    """
    if not isinstance(objectives, Mapping) or not objectives:
        rule = "must map metrics to maximize or minimize, such as {macro_f1: maximize}"
        return [Problem("objectives", f"{rule}, but got {shown(objectives)}")]
    known: dict[Any, str] = dict(known_metrics(data, evaluation))
    problems = []
    for name, direction in objectives.items():
        where = dotted("objectives", name)
        wanted = "maximize" if _may_be_a_class(name, data) else known.get(name)
        if wanted is None:
            problems += _unknown_problems(name, where, data, evaluation)
        elif direction != wanted:
            problems.append(Problem(where, f"must be {wanted!r}, but got {shown(direction)}"))
    return problems


def checked_constraints(
    value: Any, data: DataSource | None, evaluation: Evaluation | None
) -> tuple[Bounds, list[Problem]]:
    """Returns the bounds that `constraints` holds, and what is wrong with it.

    Args:
        value: What the file holds.
        data: The data source, if it is valid.
        evaluation: How students are measured, if that is valid.
    """
    if not isinstance(value, Mapping):
        rule = "must map metrics to bounds, such as {size_mb: {maximum: 2.0}}"
        return {}, [Problem("constraints", f"{rule}, but got {shown(value)}")]
    bounds: dict[str, dict[str, float]] = {}
    problems: list[Problem] = []
    for name, sides in value.items():
        where = dotted("constraints", name)
        bound, wrong = checked(Bound, sides, where)
        problems += [*_unknown_problems(name, where, data, evaluation), *wrong]
        bounds[name] = {} if bound is None else bound.model_dump(exclude_none=True)
    return bounds, problems


def _unknown_problems(
    name: Any, where: str, data: DataSource | None, evaluation: Evaluation | None
) -> list[Problem]:
    """Returns why a metric cannot decide anything, with the nearest that can."""
    known = known_metrics(data, evaluation)
    if name in known or _may_be_a_class(name, data):
        return []
    for prefix, measured in NEVER_DECIDES.items():
        base = str(name).removeprefix(prefix)
        if base != name and (base in known or _may_be_a_class(base, data)):
            message = f"is measured {measured}, which decides nothing; take {base!r} instead"
            return [Problem(where, message)]
    noise = NOISE.match(str(name))
    if noise is None or str(name)[noise.end() :] not in PREDICTED:
        return [Problem(where, f"no such metric{nearest(name, known)}")]
    if evaluation is None:
        return []
    share = int(noise.group().split("_")[1]) / 100
    way_out = f"ask for it with evaluation.robustness: {{noise: [{share:g}]}}"
    noisy = nearest(name, [metric for metric in known if NOISE.match(metric)])
    return [Problem(where, f"is not measured; {way_out}{noisy}")]


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


def check_measurable(
    objectives: Mapping[str, Direction], constraints: Iterable[str], teacher: Mapping[str, float]
) -> None:
    """Refuses metrics that cannot be measured, as AUROC where a class does not occur.

    Args:
        objectives: Direction of each objective.
        constraints: The metrics that are constrained.
        teacher: The teacher's metrics.

    Raises:
        ConfigError: With each of them.
    """
    selects = selection_metric(objectives)
    known = {*teacher, "speedup", "size_share"} | ({"retention"} if teacher.get(selects) else set())
    reasons = {"retention": f"the teacher's {selects} is 0"}
    named = [dotted("objectives", name) for name in objectives]
    named += [dotted("constraints", name) for name in constraints]
    problems = []
    for where in named:
        name = where.partition(".")[2]
        if name not in known:
            reason = reasons.get(name, "not every class is in validation")
            problems.append(Problem(where, f"cannot be measured: {reason}"))
    if problems:
        raise ConfigError(problems)


def _may_be_a_class(name: Any, data: DataSource | None) -> bool:
    """Returns whether this is the F1 of a class that only the data can tell."""
    unknown = data is None or isinstance(data.labels, str)
    return unknown and isinstance(name, str) and name.startswith(CLASS_METRIC)
