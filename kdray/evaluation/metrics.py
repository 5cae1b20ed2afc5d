"""The table of metrics: every name that an objective or a check may use, and what is better."""

from collections.abc import Mapping

from kdray.config.sections import Direction
from kdray.data.base import DataSource
from kdray.results.feasibility import Bounds

METRICS: dict[str, Direction] = {
    "macro_f1": "maximize",
    "micro_f1": "maximize",
    "accuracy": "maximize",
    "auroc": "maximize",
    "hamming": "minimize",
    "ece": "minimize",
    "brier": "minimize",
    "size_mb": "minimize",
    "num_parameters": "minimize",
    "nonzero_parameters": "minimize",
    "macs": "minimize",
    "latency_ms": "minimize",
    "speedup": "maximize",
}
QUALITY = ("macro_f1", "micro_f1", "accuracy", "auroc")
# These are what they are before training.
FIXED_COSTS = ("size_mb", "num_parameters", "macs")
# No epoch reports these: only a trained student is timed.
AFTER_TRAINING = ("latency_ms", "speedup")


def fixed_bounds(constraints: Bounds) -> dict[str, Mapping[str, float]]:
    """Returns the constraints that a trial keeps to, or not, before it is trained."""
    return {metric: bound for metric, bound in constraints.items() if metric in FIXED_COSTS}


def known_metrics(source: DataSource | None) -> dict[str, Direction]:
    """Returns every metric of a data set, with `f1_<label>` where the labels are known already."""
    names = [] if source is None or isinstance(source.labels, str) else source.labels
    return METRICS | {f"f1_{name}": "maximize" for name in names}


def selection_metric(objectives: dict[str, Direction]) -> str:
    """Returns the metric that selects the best epoch: the first objective of quality."""
    quality = [name for name in objectives if name in QUALITY or name.startswith("f1_")]
    return quality[0] if quality else "macro_f1"
