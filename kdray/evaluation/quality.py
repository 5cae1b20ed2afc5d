"""Quality of predictions: F1, accuracy, AUROC, calibration, for both label types."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    hamming_loss,
    precision_recall_curve,
    roc_auc_score,
)

from kdray.data.base import Labels
from kdray.evaluation.calibration import brier_score, expected_calibration_error
from kdray.models.inference import FloatArray, probabilities

Targets = npt.NDArray[np.generic]


def quality(
    logits: FloatArray, targets: Targets, labels: Labels, thresholds: Sequence[float] = ()
) -> dict[str, float]:
    """Returns every quality metric of one split.

    `macro_f1`, `micro_f1`, `f1_<label>`, `accuracy` (multi-label: all labels of an example right),
    `auroc` (macro; single-label: one against the rest), `hamming`, `ece`, `brier`: all in [0, 1],
    the last three better when smaller. `auroc` is left out where a class does not occur.

    Args:
        logits: (examples, labels).
        targets: As in `Examples`.
        labels: What is predicted.
        thresholds: Probability from which a label is given, 0.5 where none are given (multi-label).
    """
    multi_label = labels.kind == "multi_label"
    scores = probabilities(logits, multi_label)
    decided = decide(scores, labels, thresholds)
    return (
        decision_quality(targets, decided, labels)
        | _ranking_quality(targets, scores, multi_label)
        | {
            "ece": expected_calibration_error(scores, targets, multi_label),
            "brier": brier_score(scores, targets, multi_label),
        }
    )


def decide(scores: FloatArray, labels: Labels, thresholds: Sequence[float] = ()) -> Targets:
    """Returns decisions in the shape of the targets: σ > threshold, or the likeliest class."""
    if labels.kind == "single_label":
        return scores.argmax(-1)
    limits = np.asarray(thresholds or [0.5] * len(labels.names))
    return (scores > limits).astype(np.int64)


def decision_quality(targets: Targets, decided: Targets, labels: Labels) -> dict[str, float]:
    """Returns the metrics that need decisions only; F1 of a label never met or given is 0."""
    truth = targets.astype(np.int64)
    classes = list(range(len(labels.names)))
    each = f1_score(truth, decided, average=None, labels=classes, zero_division=0.0)
    micro = f1_score(truth, decided, average="micro", labels=classes, zero_division=0.0)
    return {
        "macro_f1": float(np.mean(each)),
        "micro_f1": float(micro),
        "accuracy": float(accuracy_score(truth, decided)),
        "hamming": float(hamming_loss(truth, decided)),
    } | {f"f1_{name}": float(value) for name, value in zip(labels.names, each, strict=True)}


def best_constant(targets: Targets, labels: Labels) -> dict[str, float]:
    """Returns, for each quality metric, what the best answer that ignores the text reaches.

    Multi-label: the best of giving always the same labels; single-label: always one class. An
    AUROC of a constant is 0.5.
    """
    answers = _constant_answers(targets, labels)
    found = [decision_quality(targets, answer, labels) for answer in answers]
    best = {name: max(metrics[name] for metrics in found) for name in found[0]}
    del best["hamming"]
    return best | {"auroc": 0.5}


def tuned_thresholds(logits: FloatArray, targets: Targets) -> tuple[float, ...]:
    """Returns the threshold of each label that has the best F1 on these examples (validation).

    Ties go to the threshold nearest to 0.5, and each lies halfway between two scores.
    """
    scores = probabilities(logits, multi_label=True)
    return tuple(_best_threshold(scores[:, i], targets[:, i]) for i in range(scores.shape[1]))


def _best_threshold(scores: FloatArray, truth: Targets) -> float:
    precision, recall, limits = precision_recall_curve(truth, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = np.flatnonzero(f1[:-1] >= f1[:-1].max() - 1e-12)
    lower = np.concatenate([[0.0], limits[:-1]])
    halfway = (lower + limits) / 2
    return float(halfway[best[np.argmin(np.abs(halfway[best] - 0.5))]])


def _ranking_quality(targets: Targets, scores: FloatArray, multi_label: bool) -> dict[str, float]:
    present = targets.sum(0) if multi_label else np.bincount(targets.astype(np.int64))
    if multi_label and (np.any(present == 0) or np.any(present == len(targets))):
        return {}
    if not multi_label and (len(present) < scores.shape[1] or np.any(present == 0)):
        return {}
    if not np.isfinite(scores).all():
        return {"auroc": math.nan}
    if not multi_label and scores.shape[1] == 2:
        return {"auroc": float(roc_auc_score(targets, scores[:, 1]))}
    return {"auroc": float(roc_auc_score(targets, scores, average="macro", multi_class="ovr"))}


def _constant_answers(targets: Targets, labels: Labels) -> list[Targets]:
    count = len(labels.names)
    if labels.kind == "single_label":
        return [np.full(len(targets), index, np.int64) for index in range(count)]
    order = np.argsort(-targets.astype(np.float64).mean(0), kind="stable")
    answers = []
    for given in range(count + 1):
        row = np.zeros(count, np.int64)
        row[order[:given]] = 1
        answers.append(np.tile(row, (len(targets), 1)))
    return answers
