"""Quality of predictions: F1, accuracy, AUROC, calibration, for both label types."""

import math
from collections.abc import Sequence

import numpy as np

from kdray.data.base import Labels
from kdray.evaluation.calibration import brier_score, expected_calibration_error
from kdray.evaluation.ranking import auroc, macro_auroc
from kdray.models.inference import FloatArray, IntArray, Targets, decide, probabilities


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
        thresholds: As `decide` takes them.
    """
    multi_label = labels.kind == "multi_label"
    scores = probabilities(logits, multi_label)
    decided = decide(scores, labels, thresholds)
    return (
        decision_quality(targets, decided, labels)
        | _ranking_quality(targets, scores, labels)
        | {
            "ece": expected_calibration_error(scores, targets, multi_label),
            "brier": brier_score(scores, targets, multi_label),
        }
    )


def decision_quality(targets: Targets, decided: IntArray, labels: Labels) -> dict[str, float]:
    """Returns the metrics that need decisions only; F1 of a label never met or given is 0.

    F1 = 2·TP / (met + given), for each label, and over all of them for `micro_f1`.
    """
    truth, given = _one_hot(targets, labels), _one_hot(decided, labels)
    hits, marks = (truth & given).sum(0), truth.sum(0) + given.sum(0)
    each = 2 * hits / np.maximum(marks, 1)
    right = targets == decided
    return {
        "macro_f1": float(each.mean()),
        "micro_f1": float(2 * hits.sum() / max(marks.sum(), 1)),
        "accuracy": float(right.reshape(len(right), -1).all(1).mean()),
        "hamming": float(1 - right.mean()),
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

    A label is given above its threshold. Each lies halfway between two scores, ties go to the one
    nearest to 0.5; it stays 0.5 where no example has the label, or a score is no number.
    """
    scores = probabilities(logits, multi_label=True)
    return tuple(_best_threshold(scores[:, i], targets[:, i]) for i in range(scores.shape[1]))


def _best_threshold(scores: FloatArray, truth: Targets) -> float:
    from sklearn.metrics import precision_recall_curve

    if not truth.any() or not np.isfinite(scores).all():
        return 0.5
    # Entry i of the curve gives the label from limits[i] on: above halfway to the score below it.
    precision, recall, limits = precision_recall_curve(truth, scores.astype(np.float64))
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    halfway = (np.concatenate([[0.0], limits[:-1]]) + limits) / 2
    # A score of exactly 0 is above no threshold, so the entry that starts there cannot be had.
    f1 = np.where(halfway < limits, f1[:-1], -1.0)
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(halfway[best[np.argmin(np.abs(halfway[best] - 0.5))]])


def _ranking_quality(targets: Targets, scores: FloatArray, labels: Labels) -> dict[str, float]:
    truth = _one_hot(targets, labels)
    present = truth.sum(0)
    if np.any(present == 0) or np.any(present == len(truth)):
        return {}
    if not np.isfinite(scores).all():
        return {"auroc": math.nan}
    if labels.kind == "single_label" and scores.shape[1] == 2:
        return {"auroc": auroc(scores[:, 1], truth[:, 1].astype(bool))}
    return {"auroc": macro_auroc(scores, truth)}


def _one_hot(decisions: Targets | IntArray, labels: Labels) -> IntArray:
    if labels.kind == "multi_label":
        return decisions.astype(np.int64)
    return np.eye(len(labels.names), dtype=np.int64)[decisions.astype(np.int64)]


def _constant_answers(targets: Targets, labels: Labels) -> list[IntArray]:
    """Returns answers among which each metric has its best: one is enough for single-label.

    Multi-label: the k most frequent labels for each k, best for F1, and the most frequent set of
    labels, best for accuracy.
    """
    count = len(labels.names)
    if labels.kind == "single_label":
        return [np.full(len(targets), index, np.int64) for index in range(count)]
    order = np.argsort(-targets.astype(np.float64).mean(0), kind="stable")
    sets, counts = np.unique(targets.astype(np.int64), axis=0, return_counts=True)
    ranks = np.argsort(order)
    rows = [(ranks < given).astype(np.int64) for given in range(count + 1)]
    return [np.tile(row, (len(targets), 1)) for row in [*rows, sets[counts.argmax()]]]
