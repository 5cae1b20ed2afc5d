"""What `kdray best` may be asked for on the command line, checked before anything is done."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kdray.config.validation import nearest
from kdray.errors import Problem
from kdray.evaluation.metrics import NEVER_DECIDES
from kdray.reporting.objectives import objective
from kdray.results.folder import SweepFolder
from kdray.results.records import SHARES

_SIDES = {"maximum": "--max", "minimum": "--min"}
# Which side of a metric can be asked for.
_BOUNDED = {"minimize": "maximum", "maximize": "minimum"}


@dataclass(frozen=True)
class Assignments:
    """Bounds as they stand on the command line, each `METRIC=VALUE`.

    Attributes:
        maximum: What was given with `--max`.
        minimum: What was given with `--min`.
    """

    maximum: Sequence[str] = ()
    minimum: Sequence[str] = ()


def read_bounds(
    folder: SweepFolder, given: Assignments
) -> tuple[dict[str, dict[str, float]], list[Problem]]:
    """Returns the bounds that were asked for, and what is wrong with them.

    Args:
        folder: The sweep's folder: a metric that none of its trials has cannot be bounded.
        given: What stands on the command line.
    """
    known = _decidable(folder) if given.maximum or given.minimum else {}
    bounds: dict[str, dict[str, float]] = {}
    problems = []
    for side, assignments in (("maximum", given.maximum), ("minimum", given.minimum)):
        for assignment in assignments:
            metric, _, written = assignment.partition("=")
            message = _problem(metric, written, side, known) or _twice(metric, bounds)
            if message:
                problems.append(Problem(f"{_SIDES[side]} {assignment}", message))
            else:
                bounds[metric] = {side: float(written)}
    return bounds, problems


def _decidable(folder: SweepFolder) -> Mapping[str, str]:
    """Returns the metrics of the completed trials that a choice may rest on, and what is better."""
    done = [result for result in folder.results() if result.status == "completed"]
    names = {name for result in done for name in result.metrics}
    none = (*NEVER_DECIDES, *SHARES, "teacher_")
    return {name: objective(name).direction for name in names if not name.startswith(none)}


def _problem(metric: str, written: str, side: str, known: Mapping[str, str]) -> str:
    if not metric or not _is_number(written):
        return "must be METRIC=VALUE, such as latency_ms=3"
    for prefix, measured in NEVER_DECIDES.items():
        base = metric.removeprefix(prefix)
        if base != metric and base in known:
            return (
                f"is measured {measured}, which decides nothing: a student that is chosen there "
                f"looks better there than it is; take {base!r} instead"
            )
    if metric not in known:
        return f"no such metric{nearest(metric, known)}{_listed(metric, known)}"
    if _BOUNDED[known[metric]] != side:
        way, option = _SIDES[_BOUNDED[known[metric]]], f"{metric}={written}"
        better = "smaller" if side == "minimum" else "larger"
        return f"{better} is better; did you mean {way} {option}?"
    return ""


def _listed(metric: str, known: Mapping[str, str]) -> str:
    """Returns all metrics that there are, unless `nearest` has listed them anyway."""
    return "" if "known:" in nearest(metric, known) else f" there are {', '.join(sorted(known))}"


def _twice(metric: str, bounds: Mapping[str, object]) -> str:
    return "is bounded twice" if metric in bounds else ""


def _is_number(written: str) -> bool:
    try:
        return math.isfinite(float(written))
    except ValueError:
        return False
