"""The area under the ROC curve, from ranks: importing a library for it costs a worker 1.5 s."""

import numpy as np
import numpy.typing as npt


def auroc(scores: npt.NDArray[np.floating], truth: npt.NDArray[np.bool_]) -> float:
    """Returns how often a positive has a higher score than a negative, ties counting half.

    AUROC = (Σ ranks of the positives − n₊(n₊ + 1) / 2) / (n₊ · n₋), ties at their mean rank.

    Reference: Hanley and McNeil, "The meaning and use of the area under a receiver operating
    characteristic (ROC) curve", 1982. https://doi.org/10.1148/radiology.143.1.7063747

    Args:
        scores: (examples,).
        truth: (examples,), with at least one positive and one negative.

    Returns:
        In [0, 1]; 0.5 for scores that say nothing.
    """
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(count) - (count - 1) / 2
    positives = int(truth.sum())
    above = mean_rank[place][truth].sum() - positives * (positives + 1) / 2
    return float(above / (positives * (len(truth) - positives)))


def macro_auroc(scores: npt.NDArray[np.floating], truth: npt.NDArray[np.integer]) -> float:
    """Returns the mean of `auroc` over columns; single-label: each class against the rest.

    Args:
        scores: (examples, labels).
        truth: 1 where an example has the label, of the same shape.
    """
    columns = range(scores.shape[1])
    return float(np.mean([auroc(scores[:, c], truth[:, c].astype(bool)) for c in columns]))
