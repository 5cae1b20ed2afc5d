"""What a report says of `constraints`: the bounds in words, and who comes nearest to them."""

from kdray.reporting.formats import is_missing, measured
from kdray.reporting.headline import Row
from kdray.reporting.objectives import objective
from kdray.results.feasibility import Bounds, violations

_WORDS = {"maximum": "at most", "minimum": "at least"}


def in_words(constraints: Bounds) -> str:
    """Returns the bounds: "size at most 2.0 MB, macro-F1 at least 0.700"."""
    return ", ".join(
        f"{objective(metric).label} {_bound(constraints, metric)}".strip() for metric in constraints
    )


def none_feasible(nearest: Row, constraints: Bounds) -> str:
    """Returns what to say where no trial keeps to the constraints.

    For example "No trial meets the constraints; nearest: trial 0003 with size 3.1 MB (at most 2.0
    MB)".

    Args:
        nearest: The row of the trial that is nearest to them.
        constraints: The bounds.
    """
    found = violations({m: nearest[m] for m in constraints if _is_there(nearest, m)}, constraints)
    violated = {key.rpartition(".")[0] for key, violation in found.items() if violation > 0}
    said = [_said(nearest, metric, constraints) for metric in constraints if metric in violated]
    return (
        f"No trial meets the constraints; nearest: trial {nearest['trial_id']} with "
        f"{' and '.join(said)}"
    )


def _said(row: Row, metric: str, constraints: Bounds) -> str:
    bound, label = _bound(constraints, metric), objective(metric).label
    if not _is_there(row, metric):
        return f"no {label} ({bound})"
    return f"{label} {_with_unit(metric, row[metric])} ({bound})"


def _bound(constraints: Bounds, metric: str) -> str:
    return " and ".join(
        f"{_WORDS[side]} {_with_unit(metric, bound)}" for side, bound in constraints[metric].items()
    )


def _with_unit(metric: str, value: float) -> str:
    return f"{measured(metric, value)} {objective(metric).unit}".strip()


def _is_there(row: Row, metric: str) -> bool:
    return not is_missing(row.get(metric))
