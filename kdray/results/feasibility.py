"""Feasibility: how far a trial is from keeping to `constraints`.

It sees only what a sweep writes down, so that the search and the report judge alike.
"""

import math
from collections.abc import Mapping

# As `constraints` stands in the file: {"size_mb": {"maximum": 2.0}, "macro_f1": {"minimum": 0.7}}.
Bounds = Mapping[str, Mapping[str, float]]

NOT_MEASURED = 1.0


def violations(metrics: Mapping[str, float], bounds: Bounds) -> dict[str, float]:
    """Returns by how much each bound is violated; what is 0 or less is kept to.

    With a value v, a maximum b is violated by (v - b) / |b| and a minimum b by (b - v) / |b|, so
    that megabytes and shares can be added up. A bound of 0 has no scale: nothing is divided. A
    metric that was not measured counts as violated by 1.

    Args:
        metrics: Validation metrics of a trial.
        bounds: What the metrics must keep to.

    Returns:
        A number without unit for each bound, by names such as `size_mb.maximum`.
    """
    return {
        f"{metric}.{side}": _violation(metrics.get(metric), side, bound)
        for metric, sides in bounds.items()
        for side, bound in sides.items()
    }


def is_feasible(metrics: Mapping[str, float], bounds: Bounds) -> bool:
    """Returns whether a trial keeps to every bound; without bounds every trial does."""
    return all(violation <= 0 for violation in violations(metrics, bounds).values())


def total_violation(metrics: Mapping[str, float], bounds: Bounds) -> float:
    """Returns the sum of what is violated: 0 for a feasible trial."""
    return sum(max(0.0, violation) for violation in violations(metrics, bounds).values())


def _violation(value: float | None, side: str, bound: float) -> float:
    if value is None or not math.isfinite(value):
        return NOT_MEASURED
    excess = value - bound if side == "maximum" else bound - value
    return excess / (abs(bound) or 1.0)
