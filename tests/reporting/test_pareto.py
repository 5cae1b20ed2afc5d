import itertools
from typing import Any

import numpy as np
import pytest

from kdray.reporting.pareto import (
    Direction,
    FloatArray,
    epsilon_net,
    fronts,
    hypervolume,
    knee,
    non_dominated,
    normalised_hypervolume,
    ranking,
)

# quality
#  .9 |           D
#  .8 |   B       .         B hides C: smaller and better. The front is A, B, D.
#  .7 |   .   C   .
#  .6 | A .       .         area left of 5 and above .5:
#  .5 +-.-.---.---.-R         (5-1) * .1 + (5-2) * .2 + (5-4) * .1 = 1.1
#       1 2   3   4 5  size
HAND = [[1, 0.6], [2, 0.8], [3, 0.7], [4, 0.9]]
SMALL_AND_GOOD: list[Direction] = ["minimize", "maximize"]


def random_points(seed: int, objectives: int) -> FloatArray:
    return np.random.default_rng(seed).random((6, objectives))


def volume_by_inclusion_exclusion(gains: FloatArray) -> float:
    groups = (
        (size, group)
        for size in range(1, len(gains) + 1)
        for group in itertools.combinations(gains, size)
    )
    return float(sum((-1) ** (size + 1) * np.min(group, axis=0).prod() for size, group in groups))


def test_front_of_the_hand_case():
    assert non_dominated(HAND, SMALL_AND_GOOD).tolist() == [True, True, False, True]


def test_equal_points_are_on_the_front_together():
    points = [[1, 0.6], [1, 0.6], [2, 0.5]]

    assert non_dominated(points, SMALL_AND_GOOD).tolist() == [True, True, False]


def test_point_that_is_equal_in_one_objective_and_worse_in_the_other_is_dominated():
    assert non_dominated([[1, 0.6], [1, 0.5]], SMALL_AND_GOOD).tolist() == [True, False]


def test_point_with_a_missing_value_is_not_on_the_front_and_hides_nobody():
    points = [[1, np.nan], [np.nan, 0.9], [2, 0.5]]

    assert non_dominated(points, SMALL_AND_GOOD).tolist() == [False, False, True]
    assert hypervolume(points, [3, 0], SMALL_AND_GOOD) == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(5))
def test_a_point_is_on_the_front_unless_another_dominates_it(seed: int):
    points = np.random.default_rng(seed).integers(0, 4, (20, 3))
    dominated = [any(all(a <= b) and any(a < b) for a in points) for b in points]

    assert non_dominated(points, ["minimize"] * 3).tolist() == [not one for one in dominated]


def test_one_objective_has_its_best_points_as_front():
    assert non_dominated([[3], [1], [1]], ["minimize"]).tolist() == [False, True, True]


def test_front_of_no_points_is_empty():
    assert non_dominated([], SMALL_AND_GOOD).tolist() == []


def test_hypervolume_of_the_hand_case():
    assert hypervolume(HAND, [5, 0.5], SMALL_AND_GOOD) == pytest.approx(1.1)


def test_hypervolume_of_three_objectives_by_hand():
    # Maximised, from the origin: 2x1x1 and 1x2x1 share a cube of 1, and make 3 with height 1.
    # The column 1x1x2 shares that cube of 1 with them, and adds the 1 above it: 4.
    points = [[2, 1, 1], [1, 2, 1], [1, 1, 2]]

    assert hypervolume(points, [0, 0, 0], ["maximize"] * 3) == pytest.approx(4)


def test_hypervolume_of_one_objective_is_the_longest_gain():
    assert hypervolume([[3], [2], [9]], [5], ["minimize"]) == 3


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_hypervolume_agrees_with_inclusion_and_exclusion(seed: int, objectives: int):
    points = random_points(seed, objectives)
    expected = volume_by_inclusion_exclusion(points)

    measured = hypervolume(points, np.zeros(objectives), ["maximize"] * objectives)

    assert measured == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(4))
def test_hypervolume_does_not_mind_order_direction_or_dominated_points(seed: int):
    points = random_points(seed, 3)
    whole = hypervolume(points, np.zeros(3), ["maximize"] * 3)

    assert hypervolume(points[::-1], np.zeros(3), ["maximize"] * 3) == pytest.approx(whole)
    assert hypervolume(-points, np.zeros(3), ["minimize"] * 3) == pytest.approx(whole)
    more = np.vstack([points, points[0] * 0.9])
    assert hypervolume(more, np.zeros(3), ["maximize"] * 3) == pytest.approx(whole)


def test_point_not_better_than_the_reference_counts_nothing():
    # One is as large as the reference, the other is as bad.
    assert hypervolume([[5, 0.9], [1, 0.5]], [5, 0.5], SMALL_AND_GOOD) == 0


def test_hypervolume_of_no_points_is_zero():
    assert hypervolume([], [5, 0.5], SMALL_AND_GOOD) == 0


def test_normalised_hypervolume_of_the_hand_case():
    # The box from (5, .5) to size 0 and quality 1 has the area 2.5.
    share = normalised_hypervolume(HAND, [5, 0.5], [0, 1], SMALL_AND_GOOD)

    assert share == pytest.approx(1.1 / 2.5)


def test_a_student_better_than_its_teacher_may_push_the_hypervolume_over_one():
    assert normalised_hypervolume([[0.1, 0.95]], [5, 0.5], [0, 0.9], SMALL_AND_GOOD) > 1


def test_normalised_hypervolume_is_zero_if_the_teacher_is_no_better_than_a_constant():
    assert normalised_hypervolume(HAND, [5, 0.5], [0, 0.5], SMALL_AND_GOOD) == 0


def test_knee_is_the_point_farthest_from_the_line_between_the_ends():
    # Scaled: A (0, 0), B (1/3, 2/3), D (1, 1); B is above the line from A to D.
    assert knee(HAND, SMALL_AND_GOOD) == 1


def test_one_point_is_its_own_knee():
    assert knee([[2, 0.5], [1, 0.6]], SMALL_AND_GOOD) == 1


def test_of_two_points_the_knee_is_the_best_in_the_first_objective():
    points = [[0.6, 1.3], [0.8, 2.7]]

    assert knee(points, ["maximize", "minimize"]) == 1
    assert knee(points[::-1], ["maximize", "minimize"]) == 0


def test_no_point_has_no_knee():
    with pytest.raises(ValueError, match="at least one point"):
        knee([[np.nan, 1]], SMALL_AND_GOOD)


def test_fronts_of_the_hand_case():
    assert [front.tolist() for front in fronts(HAND, SMALL_AND_GOOD)] == [[0, 1, 3], [2]]


def test_fronts_are_peeled_one_after_the_other():
    # Each point hides the next ones: a chain is a front each, whatever its order.
    points = [[3, 0.3], [1, 0.9], [2, 0.6]]

    assert [front.tolist() for front in fronts(points, SMALL_AND_GOOD)] == [[1], [2], [0]]


def test_a_point_with_a_missing_value_is_in_no_front():
    points = [[1, np.nan], [2, 0.5], [np.nan, 0.9]]

    assert [front.tolist() for front in fronts(points, SMALL_AND_GOOD)] == [[1]]
    assert ranking(points, SMALL_AND_GOOD).tolist() == [1]


def test_no_points_make_no_fronts_and_no_ranking():
    assert fronts([], SMALL_AND_GOOD) == []
    assert ranking([], SMALL_AND_GOOD).tolist() == []


def test_epsilon_net_starts_at_an_end_takes_the_other_and_then_the_widest_gap():
    # Scaled, a straight front at 0, .1, .5, .8 and 1 of its length: from 0 the farthest is 1, then
    # .5 (half away from both ends), then .8 (.2 from the next) before .1 (.1 from the next).
    points = [[n, n] for n in (0.0, 0.1, 0.5, 0.8, 1.0)]

    assert epsilon_net(points, SMALL_AND_GOOD).tolist() == [0, 4, 2, 3, 1]


def test_epsilon_net_starts_with_the_best_in_the_first_objective():
    points = [[0.6, 1], [0.9, 3], [0.8, 2]]

    assert epsilon_net(points, ["maximize", "minimize"]).tolist() == [1, 0, 2]


def test_epsilon_net_takes_the_earlier_of_equal_points_and_repeats_come_last():
    points = [[1, 0.5], [1, 0.5], [2, 0.9], [2, 0.9]]

    assert epsilon_net(points, SMALL_AND_GOOD).tolist() == [0, 2, 1, 3]


def test_ranking_of_the_hand_case():
    # A and D are the ends of the first front, B lies between them, C is the second front.
    assert ranking(HAND, SMALL_AND_GOOD).tolist() == [0, 3, 1, 2]


def test_ranking_by_one_objective_is_sorting():
    assert ranking([[3], [1], [2]], ["maximize"]).tolist() == [0, 2, 1]


@pytest.mark.parametrize("seed", range(10))
def test_a_dominated_point_never_outranks_its_dominator(seed: int):
    points = np.random.default_rng(seed).integers(0, 5, (25, 2 + seed % 2))
    place = {row: rank for rank, row in enumerate(ranking(points, ["minimize"] * points.shape[1]))}

    for a, b in itertools.permutations(range(len(points)), 2):
        if all(points[a] <= points[b]) and any(points[a] < points[b]):
            assert place[a] < place[b]


@pytest.mark.parametrize("seed", range(60))
def test_ranking_is_that_of_fronts_peeled_one_by_one_and_ties_measured_one_by_one(seed: int):
    made = np.random.default_rng(seed)
    shape = (int(made.integers(0, 40)), 1 + seed % 4)
    points = made.integers(0, 6, shape).astype(float) if seed % 3 else made.normal(size=shape)
    points[made.random(shape) < 0.02] = np.nan
    points[made.random(shape) < 0.02] = np.inf
    ways = made.choice(["maximize", "minimize"], shape[1]).tolist()
    wanted = ranking_by_peeling(points, ways)

    assert ranking(points, ways).tolist() == wanted
    for most in (0, 1, 7, 100):
        assert ranking(points, ways, most).tolist() == wanted[:most]


def ranking_by_peeling(points: np.ndarray, ways: list[Any]) -> list[int]:
    ordered, left = [], np.flatnonzero(np.isfinite(points).all(axis=1))
    while len(left):
        best = non_dominated(points[left], ways)
        front, left = left[best], left[~best]
        ordered += front[spread(points[front], ways)].tolist()
    return ordered


def spread(points: np.ndarray, ways: list[Any]) -> list[int]:
    costs = points * [-1.0 if way == "maximize" else 1.0 for way in ways]
    span = np.ptp(costs, axis=0)
    scaled = (costs - costs.min(axis=0)) / np.where(span > 0, span, 1.0)
    order, distance = [int(scaled[:, 0].argmin())], np.full(len(costs), np.inf)
    while len(order) < len(costs):
        step = np.linalg.norm(scaled - scaled[order[-1]], axis=1).round(12)
        distance = np.minimum(distance, step)
        distance[order] = -1.0
        order.append(int(distance.argmax()))
    return order


@pytest.mark.parametrize("seed", range(5))
def test_ranking_does_not_mind_the_scale_of_objectives(seed: int):
    points = random_points(seed, 3)
    wanted = ranking(points, ["minimize"] * 3).tolist()

    assert ranking(points * [1e-3, 7, 1e9] + [5, 0, -3], ["minimize"] * 3).tolist() == wanted
    assert ranking(points * [1, -4, 1], ["minimize", "maximize", "minimize"]).tolist() == wanted


@pytest.mark.parametrize("seed", range(5))
def test_the_first_front_is_the_one_that_non_dominated_finds(seed: int):
    points = np.random.default_rng(seed).integers(0, 4, (20, 3))
    first = fronts(points, ["minimize"] * 3)[0]

    assert first.tolist() == np.flatnonzero(non_dominated(points, ["minimize"] * 3)).tolist()


def test_wrong_width_is_named():
    with pytest.raises(ValueError, match=r"shape \(n, 2\), but got \(1, 3\)"):
        non_dominated([[1, 2, 3]], SMALL_AND_GOOD)


def test_unknown_direction_is_named():
    with pytest.raises(ValueError, match="but got \\['max'\\]"):
        non_dominated([[1]], ["max"])  # type: ignore[list-item]
