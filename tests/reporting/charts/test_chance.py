import pytest

from kdray.reporting.charts.chance import said, share_by_chance


def test_the_share_is_that_of_all_orders_which_are_as_far_apart() -> None:
    # Of the 6 ways to put ranks 1 to 4 into two pairs, 2 are as far apart: 1, 2 and 3, 4.
    assert share_by_chance([[0.1, 0.2], [0.3, 0.4]]) == pytest.approx(1 / 3, abs=0.05)


def test_equal_values_are_never_apart() -> None:
    assert share_by_chance([[0.5, 0.5, 0.5], [0.5, 0.5]]) == 1.0
    assert share_by_chance([[0.1, 0.9], [0.1, 0.9]]) == 1.0


def test_equal_values_count_alike_from_either_end() -> None:
    groups = [[3, 2, 2], [1, 2, 3], [2, 2, 3]]
    mirrored = [[-value for value in group] for group in groups]
    assert share_by_chance(groups) == share_by_chance(mirrored) == 1.0


def test_only_the_order_counts_not_how_far_values_are() -> None:
    groups = [[0.1, 0.2, 0.3, 0.4, 0.5], [0.6, 0.7, 0.8, 0.9, 100.0]]
    assert share_by_chance(groups) == share_by_chance([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]])
    # 2 of 252 ways.
    assert share_by_chance(groups) == pytest.approx(2 / 252, abs=0.01)


def test_what_is_said_depends_on_chance_and_on_the_number_of_trials() -> None:
    apart = said([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]])
    assert apart.startswith("That is more than chance: of 1,000 shufflings")
    mixed = said([[1, 3, 5, 7, 9], [2, 4, 6, 8, 10]])
    assert mixed.startswith("That is no more than the spread between trials")
    few = said([[1, 2, 3], [7, 8, 9, 10]])
    assert few == "7 trials are too few to tell whether that is more than chance."
