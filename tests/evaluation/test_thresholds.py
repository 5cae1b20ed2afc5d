import numpy as np
import pytest

from kdray.evaluation.quality import quality, tuned_thresholds
from kdray.models.inference import probabilities
from tests import tiny


def logits_of(scores):
    scores = np.asarray(scores, np.float64)
    return np.log(scores / (1 - scores)).astype(np.float32)


def tuned(scores, truth):
    logits = logits_of(scores)[:, None]
    return tuned_thresholds(logits, np.asarray(truth, np.float32)[:, None])[0]


@pytest.mark.parametrize(
    ("truth", "expected"),
    [
        # F1 from 0.9 on 2/3, from 0.4 on 1, from 0.3 on 4/5, from 0.1 on 2/3: between 0.3 and 0.4.
        ([0, 0, 1, 1], 0.35),
        # from 0.9 on 1, from 0.4 on 2/3, ...: between 0.4 and 0.9.
        ([0, 0, 0, 1], 0.65),
        # all have it: between 0 and 0.1.
        ([1, 1, 1, 1], 0.05),
        # from 0.9 on 0, from 0.4 on 0, from 0.3 on 2/3, from 0.1 on 1/2: between 0.1 and 0.3.
        ([0, 1, 0, 0], 0.2),
        # none has it: nothing to tune on.
        ([0, 0, 0, 0], 0.5),
    ],
)
def test_the_threshold_lies_halfway_below_the_best_cut_by_hand(truth, expected):
    assert tuned([0.1, 0.3, 0.4, 0.9], truth) == pytest.approx(expected, abs=1e-6)


def test_ties_go_to_the_threshold_nearest_to_a_half():
    # From 0.9 on 2·1/(2 + 1) = 2/3, from 0.2 on 2·2/(2 + 4) = 2/3: 0.85 is nearer than 0.1.
    assert tuned([0.2, 0.7, 0.8, 0.9], [1, 0, 0, 1]) == pytest.approx(0.85, abs=1e-6)


def test_a_score_of_exactly_0_is_above_no_threshold():
    # σ(-200) is 0 in float32: what has it can never be found, whatever the threshold.
    logits = np.array([[-200.0], [-200.0], [1.0], [2.0]], np.float32)
    truth = np.array([[1.0], [1.0], [0.0], [1.0]], np.float32)
    (threshold,) = tuned_thresholds(logits, truth)
    scores = probabilities(logits, True)
    assert ((scores > threshold) == [[False], [False], [False], [True]]).all()


def test_scores_that_are_no_numbers_leave_the_threshold_alone():
    logits = np.array([[np.nan, 1.0], [0.5, -1.0]], np.float32)
    truth = np.array([[1, 1], [0, 0]], np.float32)
    assert tuned_thresholds(logits, truth)[0] == 0.5


def f1(truth, given):
    return 2 * (truth * given).sum(0) / np.maximum(truth.sum(0) + given.sum(0), 1)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("decimals", [1, 2, 7])
def test_tuned_thresholds_are_the_best_on_the_examples_they_come_from(seed, decimals):
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.001, 0.999, (30, 3)).round(decimals).clip(1e-6, 1 - 1e-6)
    scores[rng.random((30, 3)) < 0.1] = 0.5
    truth = (rng.random((30, 3)) < [[0.1, 0.3, 0.6]]).astype(np.float32)
    logits = logits_of(scores)
    found = quality(logits, truth, tiny.MULTI, tuned_thresholds(logits, truth))
    tuned_f1 = np.array([found[f"f1_{name}"] for name in tiny.MULTI.names])
    # Below all scores, at each of them, and at a half.
    stored = probabilities(logits, True)
    for limit in (1e-9, 0.5, *stored.ravel()):
        assert (tuned_f1 >= f1(truth, stored > limit) - 1e-12).all(), limit
