"""The Pareto front and what it is worth. Numpy only, so that a running sweep can ask too.

Points are the rows of a float array of shape (trials, objectives), in the units of the objectives.
A row with a NaN was not measured in full: it is never on the front and counts for nothing.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdray.reporting.volume import union_volume

Direction = Literal["maximize", "minimize"]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


def non_dominated(points: ArrayLike, directions: Sequence[Direction]) -> BoolArray:
    """Tells which points are on the Pareto front.

    A point is on it if no other is at least as good in every objective and better in one. Points
    that are equal are on it together.

    Reference: Deb, Pratap, Agarwal and Meyarivan, "A fast and elitist multiobjective genetic
    algorithm: NSGA-II", 2002. https://doi.org/10.1109/4235.996017

    Args:
        points: Shape (n, d).
        directions: Whether each of the d objectives is maximised or minimised.

    Returns:
        True for the points on the front, shape (n,).

    Raises:
        ValueError: The points do not have one column a direction, or a direction is unknown.
    """
    return _front(_costs(points, directions))


def hypervolume(points: ArrayLike, reference: ArrayLike, directions: Sequence[Direction]) -> float:
    """Returns the volume that the points dominate, up to a reference point.

    It is the volume of the union of the boxes between each point and the reference, computed
    exactly. A point that is not better than the reference in every objective counts nothing.

    Reference: Zitzler and Thiele, "Multiobjective optimization using evolutionary algorithms: a
    comparative case study", 1998. https://doi.org/10.1007/BFb0056872

    Args:
        points: Shape (n, d); n may be 0.
        reference: The worst values that are still of interest, shape (d,).
        directions: Whether each of the d objectives is maximised or minimised.

    Returns:
        The volume, in the product of the units of the objectives.

    Raises:
        ValueError: The points do not have one column a direction, or a direction is unknown.
    """
    gains = _costs(np.atleast_2d(reference), directions) - _costs(points, directions)
    return union_volume(gains[(gains > 0).all(axis=1)])


def added_hypervolume(
    point: ArrayLike, points: ArrayLike, reference: ArrayLike, directions: Sequence[Direction]
) -> float:
    """Returns the volume that a point dominates and no one of other points does.

    It is much cheaper than two hypervolumes: most of what the others share with it is shared by a
    few of them.

    Args:
        point: Shape (d,).
        points: The others, of shape (n, d); n may be 0.
        reference: The worst values that are still of interest, shape (d,).
        directions: Whether each of the d objectives is maximised or minimised.

    Raises:
        ValueError: The points do not have one column a direction, or a direction is unknown.
    """
    worst = _costs(np.atleast_2d(reference), directions)
    own = worst - _costs(np.atleast_2d(point), directions)
    if not (own > 0).all():
        return 0.0
    shared = np.minimum(worst - _costs(points, directions), own)
    if (shared == own).all(axis=1).any():
        return 0.0
    # Rounding may leave less than nothing.
    return max(0.0, union_volume(own) - union_volume(shared[(shared > 0).all(axis=1)]))


def normalised_hypervolume(
    points: ArrayLike, reference: ArrayLike, ideal: ArrayLike, directions: Sequence[Direction]
) -> float:
    """Returns the hypervolume as a share of the box from the reference to the ideal point.

    It is 1 if a point reaches the ideal in every objective, and more if points go beyond: a
    student may be better than its teacher.

    Args:
        points: Shape (n, d); n may be 0.
        reference: The worst values that are still of interest, shape (d,).
        ideal: The values that would be perfect, shape (d,).
        directions: Whether each of the d objectives is maximised or minimised.

    Returns:
        A number without unit, 0 or more; 0 if the ideal is not better than the reference in every
        objective, as with a teacher that is no better than a constant answer.

    Raises:
        ValueError: The points do not have one column a direction, or a direction is unknown.
    """
    box = hypervolume(np.atleast_2d(ideal), reference, directions)
    return hypervolume(points, reference, directions) / box if box > 0 else 0.0


def knee(points: ArrayLike, directions: Sequence[Direction]) -> int:
    """Returns the index of the best compromise on the front.

    With costs scaled to [0, 1] over the front it is the point with the smallest sum. With two
    objectives that is the point farthest from the line between the two ends of the front, on the
    side of the ideal. One front point is its own knee; of two, and in every tie, it is the one
    that is best in the first objective.

    Reference: Das, "On characterizing the 'knee' of the Pareto curve based on normal-boundary
    intersection", 1999. https://doi.org/10.1007/BF01195985

    Args:
        points: Shape (n, d), n at least 1.
        directions: Whether each of the d objectives is maximised or minimised.

    Raises:
        ValueError: No point is on the front, or the shapes or directions are wrong.
    """
    costs = _costs(points, directions)
    rows = np.flatnonzero(_front(costs))
    if not len(rows):
        raise ValueError("a knee needs at least one point with a value for every objective")
    front = costs[rows]
    span = np.ptp(front, axis=0)
    sums = ((front - front.min(axis=0)) / np.where(span > 0, span, 1.0)).sum(axis=1)
    # Rounded, because a tie such as (0, 1) and (1, 0) must not be decided by the last bit.
    return int(rows[np.lexsort((front[:, 0], sums.round(12)))[0]])


def fronts(points: ArrayLike, directions: Sequence[Direction]) -> list[IntArray]:
    """Sorts points into fronts: the Pareto front, the front of what is left without it, and so on.

    Reference: Deb, Pratap, Agarwal and Meyarivan, "A fast and elitist multiobjective genetic
    algorithm: NSGA-II", 2002. https://doi.org/10.1109/4235.996017

    Args:
        points: Shape (n, d).
        directions: Whether each of the d objectives is maximised or minimised.

    Returns:
        The indices of each front in rising order, the best front first. A point dominates none of
        its own front or of a front before it. A row with a NaN or an infinity is in none.

    Raises:
        ValueError: The points do not have one column a direction, or a direction is unknown.
    """
    costs = _costs(points, directions)
    rows = np.flatnonzero(np.isfinite(costs).all(axis=1))
    numbers = _front_numbers(costs[rows])
    order = np.argsort(numbers, kind="stable")
    return np.split(rows[order], np.flatnonzero(np.diff(numbers[order])) + 1) if len(rows) else []


def epsilon_net(
    points: ArrayLike, directions: Sequence[Direction], most: int | None = None
) -> IntArray:
    """Orders points so that the first of them, however many, are spread over all.

    It starts from the best point in the first objective, one end of a front, and then always takes
    the point that is farthest from those already taken, so the other end is second with two
    objectives. Distances are Euclidean, each objective scaled to [0, 1] by its range. In a tie the
    lower index is first.

    Reference: Schmucker, Donini, Zafar, Salinas and Archambeau, "Multi-objective asynchronous
    successive halving", 2021. https://arxiv.org/abs/2106.12639

    Args:
        points: Shape (n, d), all finite; n may be 0.
        directions: Whether each of the d objectives is maximised or minimised.
        most: How many are asked for; None for all.

    Returns:
        All n indices, or the first of them.

    Raises:
        ValueError: The points do not have one column a direction, or a direction is unknown.
    """
    costs = _costs(points, directions)
    count = len(costs) if most is None else min(most, len(costs))
    if count < 1:
        return np.zeros(0, np.int64)
    span = np.ptp(costs, axis=0)
    # A row an objective: sums over few columns are slow.
    scaled = np.ascontiguousarray(((costs - costs.min(axis=0)) / np.where(span > 0, span, 1.0)).T)
    order = [int(scaled[0].argmin())]
    distance = np.full(len(costs), np.inf)
    while len(order) < count:
        step = scaled - scaled[:, order[-1], None]
        distance[order[-1]] = -1.0
        # Rounded, because a tie must not be decided by the last bit.
        np.minimum(distance, np.sqrt((step * step).sum(axis=0)).round(12), out=distance)
        order.append(int(distance.argmax()))
    return np.array(order, np.int64)


def ranking(
    points: ArrayLike, directions: Sequence[Direction], most: int | None = None
) -> IntArray:
    """Returns the indices of points, the best first: by fronts, then by `epsilon_net` within one.

    A point is ranked before all that it dominates, and the scale of an objective does not matter.
    A row with a NaN or an infinity is left out.

    Args:
        points: Shape (n, d).
        directions: Whether each of the d objectives is maximised or minimised.
        most: How many are asked for, the first of them; None for all.

    Raises:
        ValueError: The points do not have one column a direction, or a direction is unknown.
    """
    table = np.asarray(points, dtype=np.float64)
    found = np.zeros(0, np.int64)
    for front in fronts(table, directions):
        left = None if most is None else most - len(found)
        found = np.concatenate([found, front[epsilon_net(table[front], directions, left)]])
    return found


def _costs(points: ArrayLike, directions: Sequence[Direction]) -> FloatArray:
    """Returns the points with the sign that makes every objective one to minimise."""
    unknown = set(directions) - {"maximize", "minimize"}
    if unknown or not directions:
        raise ValueError(f"directions must be maximize or minimize, but got {list(directions)}")
    table = np.asarray(points, dtype=np.float64)
    table = table.reshape(0, len(directions)) if table.size == 0 else table
    if table.ndim != 2 or table.shape[1] != len(directions):
        raise ValueError(f"points must have shape (n, {len(directions)}), but got {table.shape}")
    signs = [-1.0 if direction == "maximize" else 1.0 for direction in directions]
    costs: FloatArray = table * np.array(signs)
    return costs


def _front(costs: FloatArray) -> BoolArray:
    """Takes the rows from the best in the first objective on; what one dominates is not looked at.

    A NaN compares false: such a row dominates nothing.
    """
    on_front: BoolArray = np.asarray(~np.isnan(costs).any(axis=1))
    for index in np.lexsort(costs.T[::-1]):
        if on_front[index]:
            row = costs[index]
            on_front &= ~((row <= costs).all(axis=1) & (row < costs).any(axis=1))
    return on_front


def _front_numbers(costs: FloatArray) -> IntArray:
    """Returns which front each row is in, from 0: how many rows in a chain dominate it at most."""
    order = np.lexsort(costs.T[::-1])
    ordered = costs[order]
    is_new = np.ones(len(order), np.bool_)
    is_new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    chains = _chains_of_two if costs.shape[1] == 2 else _chains
    numbers = np.empty(len(order), np.int64)
    numbers[order] = np.array(chains(ordered[is_new]), np.int64)[np.cumsum(is_new) - 1]
    return numbers


def _chains(ordered: FloatArray) -> IntArray:
    """Of rows in lexicographic order, no two alike, only those before a row can dominate it."""
    counts, others = np.zeros(len(ordered), np.int64), np.ascontiguousarray(ordered[:, 1:].T)
    for index in range(len(ordered)):
        behind = (others[:, :index] <= others[:, index, None]).all(axis=0)
        counts[index] = 1 + counts[:index][behind].max(initial=0)
    return counts - 1


def _chains_of_two(ordered: FloatArray) -> list[int]:
    """Of each front only the least second objective so far matters, and it rises with the front."""
    least, numbers = list[float](), list[int]()
    for second in ordered[:, 1].tolist():
        number = bisect_right(least, second)
        least[number : number + 1] = [second]
        numbers.append(number)
    return numbers
