"""The one table of metrics: what is better, how an axis names it, what it is measured against."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kdray.errors import SweepError
from kdray.reporting.pareto import Direction

Kind = Literal["quality", "loss", "cost", "rate"]
_SELECTING = ("macro_f1", "micro_f1", "accuracy", "auroc")
_NOISE = re.compile(r"noise_([0-9]+)_(.+)")


@dataclass(frozen=True)
class Objective:
    """What is known of a metric.

    The kind decides the two ends of its scale:

    | kind | reference | ideal |
    |---|---|---|
    | quality | the best constant answer's value | the teacher's value |
    | loss (of quality: smaller is better) | the teacher's value | 0 |
    | cost | the teacher's value | 0 |
    | rate | the teacher's value | twice the teacher's value |

    Attributes:
        label: Its name for people.
        kind: What it is measured against.
        unit: Unit for axes and headings; empty if it has none.
    """

    label: str
    kind: Kind
    unit: str = ""

    @property
    def direction(self) -> Direction:
        """The direction that is better."""
        return "minimize" if self.kind in ("loss", "cost") else "maximize"

    @property
    def axis(self) -> str:
        """Label and unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


# In the order in which tables show the metrics.
OBJECTIVES: Mapping[str, Objective] = {
    "macro_f1": Objective("macro-F1", "quality"),
    "micro_f1": Objective("micro-F1", "quality"),
    "accuracy": Objective("accuracy", "quality"),
    "auroc": Objective("AUROC", "quality"),
    "hamming": Objective("Hamming loss", "loss"),
    "ece": Objective("expected calibration error", "loss"),
    "brier": Objective("Brier score", "loss"),
    "size_mb": Objective("size", "cost", "MB"),
    "size_share": Objective("size", "cost", "share of teacher"),
    "num_parameters": Objective("parameters", "cost"),
    "nonzero_parameters": Objective("non-zero parameters", "cost"),
    "macs": Objective("multiply-accumulates", "cost", "one text"),
    "latency_ms": Objective("latency", "cost", "ms"),
    "latency_p95_ms": Objective("latency, 95th percentile", "cost", "ms"),
    "throughput": Objective("throughput", "rate", "texts/s"),
    "speedup": Objective("speed-up", "rate", "× teacher"),
    "retention": Objective("retention", "quality", "share of teacher"),
}


def objective(metric: str, direction: Direction | None = None) -> Objective:
    """Returns the row of a metric.

    Args:
        metric: Its column, such as `size_mb`, `f1_spam`, `noise_5_macro_f1` or `test_macro_f1`.
        direction: What the sweep does with it; decides only for metrics that the table does not
            have: minimised ones are costs, the others qualities.
    """
    if metric.startswith("test_"):
        row = objective(metric.removeprefix("test_"), direction)
        return Objective(f"test {row.label}", row.kind, row.unit)
    if metric.startswith("ood_"):
        row = objective(metric.removeprefix("ood_"), direction)
        return Objective(f"{row.label} out of domain", row.kind)
    if noise := _NOISE.fullmatch(metric):
        row = objective(noise[2], direction)
        return Objective(f"{row.label} at {noise[1]} % typing noise", row.kind)
    if metric.startswith("f1_"):
        return Objective(f"F1 of {metric.removeprefix('f1_')}", "quality")
    unknown = Objective(metric, "cost" if direction == "minimize" else "quality")
    return OBJECTIVES.get(metric, unknown)


def reference_point(
    objectives: Mapping[str, Direction], verification: Mapping[str, Any]
) -> dict[str, float]:
    """Returns the worst value of each objective that is still of interest.

    A student counts for the hypervolume only where it is better than this in every objective.

    Args:
        objectives: Direction of each objective.
        verification: `verification.json`: `metrics` of the teacher, and in `constant` the
            qualities of the best constant answer on validation; one that is missing there is 0.

    Raises:
        SweepError: The teacher has no value of an objective that needs one.
    """
    best = verification.get("constant", {})
    constant = {"retention": _constant_retention(_selection(objectives), verification), **best}
    return {
        metric: float(constant.get(_without_noise(metric), 0.0))
        if objective(metric, direction).kind == "quality"
        else _teacher_value(metric, verification)
        for metric, direction in objectives.items()
    }


def ideal_point(
    objectives: Mapping[str, Direction], verification: Mapping[str, Any]
) -> dict[str, float]:
    """Returns the value of each objective that would be perfect.

    Args:
        objectives: Direction of each objective.
        verification: `verification.json`, with the teacher's `metrics`.

    Raises:
        SweepError: The teacher has no value of an objective that needs one.
    """
    factors = {"quality": 1.0, "rate": 2.0}
    kinds = {metric: objective(metric, way).kind for metric, way in objectives.items()}
    return {
        metric: 0.0
        if kind in ("loss", "cost")
        else factors[kind] * _teacher_value(metric, verification)
        for metric, kind in kinds.items()
    }


def _without_noise(metric: str) -> str:
    """Returns the metric on clean texts: whoever ignores the text does as well under noise."""
    noise = _NOISE.fullmatch(metric)
    return noise[2] if noise else metric


def _teacher_value(metric: str, verification: Mapping[str, Any]) -> float:
    # Ratios to the teacher are 1 for the teacher itself, whether or not they were measured.
    known = {"speedup": 1.0, "retention": 1.0, "size_share": 1.0, **verification["metrics"]}
    if known.get(metric) is None:
        raise SweepError(
            f"{metric} cannot be an objective, because the teacher has no value of it: "
            f"choose one of {', '.join(sorted(n for n in known if not n.startswith('test_')))}"
        )
    return float(known[metric])


def _selection(objectives: Iterable[str]) -> str:
    """Returns the metric that retention is of: that which selects a trial's best epoch."""
    for name in objectives:
        if name in _SELECTING or name.startswith("f1_"):
            return name
    return "macro_f1"


def _constant_retention(metric: str, verification: Mapping[str, Any]) -> float:
    constant = verification.get("constant", {}).get(metric, 0.0)
    teacher = verification["metrics"].get(metric, 0.0)
    return float(constant / teacher) if teacher > 0 else 0.0
