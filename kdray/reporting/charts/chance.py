"""Whether groups of trials are further apart than trials are anyway."""

from collections.abc import Sequence

import numpy as np

from kdray.reporting.formats import percent

SHUFFLES, SEED, RARE, FEWEST = 1000, 0, 0.05, 8


def share_by_chance(groups: Sequence[Sequence[float]]) -> float:
    """Returns in what share of shufflings groups of values lie at least as far apart, in (0, 1].

    The distance is that of Kruskal and Wallis: the sum over groups of n · (mean rank)², equal
    values having their mean rank. The values are shuffled among the groups 1,000 times.

    Reference: Kruskal and Wallis, "Use of Ranks in One-Criterion Variance Analysis", 1952.
    https://doi.org/10.1080/01621459.1952.10483441
    """
    values = np.concatenate([np.asarray(group, dtype=np.float64) for group in groups])
    sizes = np.array([len(group) for group in groups])
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    generator = np.random.default_rng(SEED)
    shuffled = generator.permuted(np.tile(ranks, (SHUFFLES, 1)), axis=1)
    starts = np.cumsum(sizes) - sizes
    sums = np.add.reduceat(np.vstack([ranks, shuffled]), starts, axis=1)
    distances = np.square(sums) @ (1 / sizes)
    as_far = np.count_nonzero(distances[1:] >= distances[0] - 1e-9)
    return float((1 + as_far) / (1 + SHUFFLES))


def said(groups: Sequence[Sequence[float]]) -> str:
    """Returns in a sentence whether groups of values lie further apart than by chance."""
    count = sum(map(len, groups))
    if count < FEWEST:
        return f"{count} trials are too few to tell whether that is more than chance."
    share = share_by_chance(groups)
    often = f"of {SHUFFLES:,} shufflings of the trials {percent(share)} lie as far apart"
    if share <= RARE:
        return f"That is more than chance: {often}."
    return f"That is no more than the spread between trials: {often}."
