"""The table of metrics: every name that an objective or a check may use, and what is better.

| metric | what it is | measured by |
|---|---|---|
| `macro_f1`, `micro_f1`, `accuracy`, `auroc`, `hamming`, `f1_<label>` | quality | `quality` |
| `ece`, `brier` | calibration | `calibration` |
| `num_parameters`, `nonzero_parameters`, `macs` | size and work | `efficiency` |
| `size_mb` | stored weights on disk, 10^6 bytes | `models.student.stored_mb` |
| `latency_ms`, `latency_p95_ms` | one text, one thread | `efficiency.paired_latency` |
| `speedup` | teacher's fastest time / its own, timed in turn | `efficiency.paired_latency` |
| `throughput` | texts/s at batch 32, one thread | `efficiency.throughput` |
| `size_share` | stored weights / the teacher's in the same format | `trial.sizes` |
| `retention` | quality / the teacher's, in the selection metric | `trial.retention` |

A bare name is measured on validation, or does not depend on texts. With a prefix it is not:
`test_` on test, `noise_5_` on validation with 5 % of the letters mistyped, `test_noise_5_` on such
a test, `ood_` on `evaluation.out_of_domain`. Test and the file decide nothing.
"""

import re
from collections.abc import Mapping

from kdray.config.sections import Direction, Evaluation
from kdray.data.base import OUT_OF_DOMAIN, DataSource
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
    "latency_p95_ms": "minimize",
    "throughput": "maximize",
    "speedup": "maximize",
    "retention": "maximize",
    "size_share": "minimize",
}
QUALITY = ("macro_f1", "micro_f1", "accuracy", "auroc")
# What predictions alone decide, whatever the labels are called.
PREDICTED = (*QUALITY, "hamming", "ece", "brier")
# These are what they are before training.
FIXED_COSTS = ("size_mb", "num_parameters", "macs")
# No epoch reports these: only a trained student is timed, or set beside its teacher.
AFTER_TRAINING = (
    "latency_ms",
    "latency_p95_ms",
    "throughput",
    "speedup",
    "retention",
    "size_share",
)
NOISE = re.compile(r"noise_[0-9]+_")
# On these nothing is decided.
NEVER_DECIDES = {"test_": "on test", "ood_": "out of domain"}


def is_after_training(metric: str) -> bool:
    """Returns whether a metric is known of a trained student only."""
    return metric in AFTER_TRAINING or NOISE.match(metric) is not None


def prefix_of(split: str) -> str:
    """Returns what the metrics of a split begin with: `test_noise_5_` for `test_noise_5`."""
    if split == OUT_OF_DOMAIN:
        return "ood_"
    name = split.removeprefix("validation").removeprefix("_")
    return f"{name}_" if name else ""


def of_split(split: str, quality: Mapping[str, float]) -> dict[str, float]:
    """Returns the metrics of a split by their names; F1 of single labels on clean texts only."""
    prefix = prefix_of(split)
    plain = prefix in ("", "test_")
    return {prefix + name: value for name, value in quality.items() if plain or name in PREDICTED}


def fixed_bounds(constraints: Bounds) -> dict[str, Mapping[str, float]]:
    """Returns the constraints that a trial keeps to, or not, before it is trained."""
    return {metric: bound for metric, bound in constraints.items() if metric in FIXED_COSTS}


def known_metrics(
    source: DataSource | None, evaluation: Evaluation | None = None
) -> dict[str, Direction]:
    """Returns every metric that may decide something.

    Args:
        source: The data, with `f1_<label>` where the labels are known already.
        evaluation: How students are measured, with the noise that is asked for.
    """
    names = [] if source is None or isinstance(source.labels, str) else source.labels
    known = METRICS | {f"f1_{name}": "maximize" for name in names}
    percents = () if evaluation is None else evaluation.percents
    return known | {
        f"noise_{percent}_{name}": METRICS[name] for percent in percents for name in PREDICTED
    }


def selection_metric(objectives: Mapping[str, Direction]) -> str:
    """Returns the metric that selects the best epoch: the first objective of quality."""
    quality = [name for name in objectives if name in QUALITY or name.startswith("f1_")]
    return quality[0] if quality else "macro_f1"
