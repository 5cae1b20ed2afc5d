import math

import pytest

from kdray.results.feasibility import is_feasible, total_violation, violations

BOUNDS = {"size_mb": {"maximum": 2.0}, "macro_f1": {"minimum": 0.8}}


def test_a_violation_is_measured_in_shares_of_its_bound() -> None:
    # 3 MB are 1 of 2 too many; 0.6 is a quarter of 0.8 too few.
    assert violations({"size_mb": 3.0, "macro_f1": 0.6}, BOUNDS) == {
        "size_mb.maximum": pytest.approx(0.5),
        "macro_f1.minimum": pytest.approx(0.25),
    }


def test_what_keeps_to_a_bound_has_a_violation_of_nought_or_less() -> None:
    assert violations({"size_mb": 2.0, "macro_f1": 1.0}, BOUNDS) == {
        "size_mb.maximum": 0.0,
        "macro_f1.minimum": pytest.approx(-0.25),
    }


def test_a_bound_of_nought_is_not_divided_by() -> None:
    bounds = {"ece": {"maximum": 0.0}, "auroc": {"minimum": 0.0}}
    assert violations({"ece": 0.125, "auroc": 0.5}, bounds) == {
        "ece.maximum": 0.125,
        "auroc.minimum": -0.5,
    }


def test_a_negative_bound_is_violated_in_the_same_sense() -> None:
    assert violations({"gain": -3.0}, {"gain": {"minimum": -2.0}}) == {"gain.minimum": 0.5}


def test_both_sides_of_one_metric_count() -> None:
    sides = {"size_mb": {"minimum": 1.0, "maximum": 4.0}}
    assert violations({"size_mb": 5.0}, sides) == {
        "size_mb.minimum": -4.0,
        "size_mb.maximum": 0.25,
    }


@pytest.mark.parametrize("metrics", [{}, {"size_mb": math.nan}, {"size_mb": -math.inf}])
def test_a_metric_that_was_not_measured_violates_its_bound_by_one(
    metrics: dict[str, float],
) -> None:
    assert violations(metrics, {"size_mb": {"maximum": 2.0}}) == {"size_mb.maximum": 1.0}


def test_a_trial_is_feasible_if_it_keeps_to_every_bound() -> None:
    assert is_feasible({"size_mb": 2.0, "macro_f1": 0.8}, BOUNDS)
    assert not is_feasible({"size_mb": 2.1, "macro_f1": 0.9}, BOUNDS)
    assert not is_feasible({"size_mb": 1.0}, BOUNDS)
    assert is_feasible({}, {})


def test_what_is_kept_to_does_not_make_up_for_what_is_violated() -> None:
    assert total_violation({"size_mb": 1.0, "macro_f1": 0.6}, BOUNDS) == pytest.approx(0.25)
    assert total_violation({"size_mb": 3.0, "macro_f1": 0.6}, BOUNDS) == pytest.approx(0.75)
    assert total_violation({"size_mb": 1.0, "macro_f1": 0.9}, BOUNDS) == 0.0
