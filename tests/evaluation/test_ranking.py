"""AUROC against hand-worked values and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from kdray.evaluation.ranking import auroc, macro_auroc


def test_auroc_counts_the_pairs_in_order_and_half_of_the_ties() -> None:
    truth = np.array([False, True, False, True])
    # Pairs of positive and negative: (.4, .1) and (.4, .4) a tie, (.8, .1) and (.8, .4).
    assert auroc(np.array([0.1, 0.4, 0.4, 0.8]), truth) == (1 + 0.5 + 1 + 1) / 4
    assert auroc(np.zeros(4), truth) == 0.5
    assert auroc(np.array([1.0, 0.0, 1.0, 0.0]), truth) == 0


@pytest.mark.parametrize("levels", [3, 1000])
def test_auroc_is_that_of_scikit_learn_with_ties_and_without(levels: int) -> None:
    generator = np.random.default_rng(levels)
    scores = generator.integers(0, levels, (500, 4)) / levels
    truth = generator.integers(0, 2, (500, 4))
    assert macro_auroc(scores, truth) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)


def test_auroc_of_classes_is_each_against_the_rest() -> None:
    generator = np.random.default_rng(0)
    scores = generator.dirichlet(np.ones(3), 300)
    classes = generator.integers(0, 3, 300)
    expected = roc_auc_score(classes, scores, average="macro", multi_class="ovr")
    assert macro_auroc(scores, np.eye(3, dtype=int)[classes]) == pytest.approx(expected, abs=1e-12)
