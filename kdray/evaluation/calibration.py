"""Whether probabilities mean what they say."""

import math

import numpy as np

from kdray.models.inference import FloatArray, Targets

BINS = 15


def expected_calibration_error(scores: FloatArray, targets: Targets, multi_label: bool) -> float:
    """Returns ECE = Σ_b |b|/N · |accuracy(b) − confidence(b)| over 15 equal bins, in [0, 1].

    Single-label: confidence is the probability of the likeliest class. Multi-label: every label of
    every example is one decision, its confidence the probability of what was decided at 0.5.

    Reference: Guo et al., "On Calibration of Modern Neural Networks", 2017.
    https://arxiv.org/abs/1706.04599
    """
    if not np.isfinite(scores).all():
        return math.nan
    if multi_label:
        confidence = np.maximum(scores, 1 - scores).ravel()
        right = ((scores > 0.5) == targets.astype(bool)).ravel()
    else:
        confidence = scores.max(-1)
        right = scores.argmax(-1) == targets
    bins = np.clip((confidence * BINS).astype(np.int64), 0, BINS - 1)
    gaps = np.bincount(bins, right - confidence.astype(np.float64), minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def brier_score(scores: FloatArray, targets: Targets, multi_label: bool) -> float:
    """Returns the mean squared distance of probabilities from the truth.

    Multi-label: mean over examples and labels of (p − y)², in [0, 1]. Single-label: half the sum
    over classes, so that it is in [0, 1] as well.

    Reference: Brier, "Verification of forecasts expressed in terms of probability", 1950.
    """
    if multi_label:
        return float(np.mean((scores - targets.astype(np.float64)) ** 2))
    truth = np.eye(scores.shape[1])[targets.astype(np.int64)]
    return float(((scores - truth) ** 2).sum(-1).mean() / 2)
