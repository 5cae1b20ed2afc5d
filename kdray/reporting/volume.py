"""The volume of a union of boxes: what points dominate, given their gains over a reference.

Gains are rows of positive numbers; each is the far corner of a box whose near one is the origin.
"""

from bisect import bisect_left
from math import inf

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def union_volume(gains: FloatArray) -> float:
    """Returns the volume of the union of the boxes from the origin to each row.

    It takes O(n log n) steps with up to three columns, and a factor of n more for each further one.

    By a sweep: Beume, Fonseca, López-Ibáñez, Paquete and Vahrenhold, "On the complexity of
    computing the hypervolume indicator", 2009. https://doi.org/10.1109/TEVC.2009.2015575
    By exclusive volumes: While, Bradstreet and Barone, "A fast way of calculating exact
    hypervolumes", 2012. https://doi.org/10.1109/TEVC.2010.2077298

    Args:
        gains: Shape (n, d), all above 0; n may be 0.
    """
    width = gains.shape[1]
    if width > 3:
        return _by_exclusion(gains)
    # A column of ones changes no volume.
    return _by_sweep(np.column_stack([gains, np.ones((len(gains), 3 - width))]))


def _by_sweep(gains: FloatArray) -> float:
    """Volume of boxes in space, from the highest down.

    What a box adds to the area seen from above lies open from its top to the ground.
    """
    steps = [0.0, inf], [inf, 0.0]
    falling = gains[np.argsort(-gains[:, 2])].tolist()
    return float(sum(height * _add_step(*steps, x, y) for x, y, height in falling))


def _add_step(xs: list[float], ys: list[float], x: float, y: float) -> float:
    """Adds a rectangle to a staircase of rising x and falling y; returns the area that is new."""
    end = bisect_left(xs, x)
    if ys[end] >= y:
        return 0.0
    begin = end
    while begin > 1 and ys[begin - 1] <= y:
        begin -= 1
    corners = [*xs[begin - 1 : end], x]
    added = sum(
        (right - left) * (y - below)
        for left, right, below in zip(corners, corners[1:], ys[begin : end + 1], strict=False)
    )
    xs[begin:end], ys[begin:end] = [x], [y]
    return added


def _by_exclusion(gains: FloatArray) -> float:
    """Volume of boxes with more than three sides: of each, what those that reach further leave.

    Those share its whole last side, so that what they take of it is a union with one side less.
    """
    rising = _uncovered(gains)
    rising = rising[np.argsort(rising[:, -1])]
    base, last = rising[:, :-1], rising[:, -1]
    taken = [union_volume(np.minimum(base[k + 1 :], base[k])) for k in range(len(base))]
    return float(last @ (base.prod(axis=1) - taken))


def _uncovered(gains: FloatArray) -> FloatArray:
    """Returns each row that no other one covers, once."""
    once = np.unique(gains, axis=0)
    covers = (once[:, None] <= once).all(axis=2)
    kept: FloatArray = once[covers.sum(axis=1) == 1]
    return kept
