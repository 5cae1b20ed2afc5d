"""One model measured whole: its quality on every split but the training set, and its costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from kdray.config.sections import Evaluation
from kdray.data.base import LEARNT, Labels
from kdray.data.batches import make_batch
from kdray.data.dataset import Dataset
from kdray.evaluation.efficiency import count_macs, count_parameters, paired_latency, throughput
from kdray.evaluation.metrics import of_split
from kdray.evaluation.quality import quality, tuned_thresholds
from kdray.models.ensemble import Votes, blended
from kdray.models.inference import FloatArray, predict_logits


@dataclass(frozen=True)
class Measured:
    """Quality of one model.

    Attributes:
        metrics: Of every split, by the names that `metrics` explains.
        logits: (examples, labels) of every split.
        thresholds: Probability from which a label is given, one a label; empty for single-label.
    """

    metrics: Mapping[str, float]
    logits: Mapping[str, FloatArray]
    thresholds: tuple[float, ...]


def measure_quality(
    model: Any, splits: Mapping[str, Dataset], labels: Labels, options: Evaluation
) -> Measured:
    """Measures a model on all that is not learnt from; thresholds come from validation alone."""
    parts = {name: part for name, part in splits.items() if name not in LEARNT}
    logits = {name: predict_logits(model, part) for name, part in parts.items()}
    return judged(logits, splits, labels, options)


def judged(
    logits: Mapping[str, FloatArray],
    splits: Mapping[str, Dataset],
    labels: Labels,
    options: Evaluation,
) -> Measured:
    """Returns the quality of logits on every split that they are of; see `measure_quality`."""
    thresholds: tuple[float, ...] = ()
    if labels.kind == "multi_label":
        thresholds = (0.5,) * len(labels.names)
        if options.thresholds == "tuned":
            thresholds = tuned_thresholds(logits["validation"], splits["validation"].targets)
    metrics: dict[str, float] = {}
    for name, predicted in logits.items():
        found = quality(predicted, splits[name].targets, labels, thresholds)
        metrics |= of_split(name, found)
    return Measured(metrics, logits, thresholds)


def judged_together(
    each: Sequence[Measured],
    weights: tuple[float, ...],
    splits: Mapping[str, Dataset],
    labels: Labels,
    options: Evaluation,
) -> Measured:
    """Measures an ensemble, which decides by the mean probability of its members.

    Args:
        each: The members, measured one by one.
        weights: Of each; their sum is 1.
        splits: As for one model.
        labels: What is predicted.
        options: How it is measured.
    """
    logits: dict[str, FloatArray] = {}
    for name in each[0].logits:
        said = torch.from_numpy(np.stack([one.logits[name] for one in each]))
        logits[name] = blended(Votes(said, weights), 1.0, labels.kind == "multi_label").numpy()
    return judged(logits, splits, labels, options)


def costs_together(each: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Returns what models cost that all read each text, one after another: the sum of all.

    Of throughputs 1 / Σ 1/x, which is the texts a second through all of them.
    """
    total = {name: sum(one[name] for one in each) for name in each[0]}
    return total | {"throughput": 1 / sum(1 / one["throughput"] for one in each)}


def measure_size(model: Any, probe: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """Returns `num_parameters`, `nonzero_parameters`, and `macs` of one pass over the probe."""
    return count_parameters(model) | {"macs": count_macs(model, probe)}


def measure_alone(model: Any, dataset: Dataset) -> dict[str, float]:
    """Returns what a model costs that has no teacher beside it: as `measure_size`, and its speed.

    Args:
        model: The model.
        dataset: The training set, on whose texts it is timed.
    """
    probe = probe_inputs(dataset, next(model.parameters()).device)
    timed = paired_latency(model, model, probe) | throughput(model, dataset)
    del timed["speedup"], timed["teacher_latency_ms"]
    return measure_size(model, probe) | timed


def probe_inputs(dataset: Dataset, device: torch.device) -> dict[str, torch.Tensor]:
    """Returns the one example on which MACs and latency are measured, as a batch of one.

    It is as long as 95 % of the dataset's examples are at most.
    """
    order = np.argsort(dataset.lengths, kind="stable")
    rows = order[[round(0.95 * (len(order) - 1))]]
    return dict(make_batch(dataset, rows, device).inputs)
