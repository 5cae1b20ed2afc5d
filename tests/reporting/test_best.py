from typing import Any

import pytest

from kdray.errors import ConfigError
from kdray.reporting.best import Constraints, best_student
from kdray.reporting.summary import write_tables
from kdray.results.folder import SweepFolder

from .conftest import MakeSweep, completed, failed

TRIALS = [completed("0001", 0.5, 1), completed("0002", 0.7, 2), completed("0003", 0.75, 6)]


def sweep(make_sweep: MakeSweep, *trials: Any, **config: Any) -> SweepFolder:
    folder = make_sweep(*trials, **config)
    write_tables(folder, duration_s=1, busy_s=1)
    return folder


def test_the_best_is_the_knee_or_the_best_that_fits(make_sweep: MakeSweep):
    folder = sweep(make_sweep, *TRIALS)

    assert best_student(folder, Constraints())["trial_id"] == "0002"
    assert best_student(folder, Constraints(max_size_mb=8))["trial_id"] == "0003"
    assert best_student(folder, Constraints(min_macro_f1=0.4))["trial_id"] == "0001"


def test_an_infeasible_trial_is_never_the_best(make_sweep: MakeSweep):
    folder = sweep(make_sweep, *TRIALS, constraints={"size_mb": {"maximum": 1.5}})

    assert best_student(folder, Constraints(max_size_mb=8))["trial_id"] == "0001"


def test_a_sweep_without_a_feasible_trial_has_no_best_and_says_who_is_nearest(
    make_sweep: MakeSweep,
):
    folder = sweep(make_sweep, *TRIALS, constraints={"size_mb": {"maximum": 0.5}})

    with pytest.raises(ConfigError, match=r"nearest: trial 0001 with size 1.0 MB \(at most 0.5"):
        best_student(folder, Constraints())


def test_a_sweep_whose_trials_all_failed_has_no_best(make_sweep: MakeSweep):
    folder = sweep(make_sweep, failed("0001"), constraints={"size_mb": {"maximum": 0.5}})

    with pytest.raises(ConfigError, match="has no completed trial to take"):
        best_student(folder, Constraints())


SEVERAL = [
    completed("0001", 0.5, 1, ece=0.01),
    completed("0002", 0.7, 2, ece=0.02, latency_ms=4.0),
    completed("0003", 0.75, 6, ece=0.03, latency_ms=9.0),
]


def best(make_sweep: MakeSweep, constraints: Constraints) -> str:
    return str(best_student(sweep(make_sweep, *SEVERAL), constraints)["trial_id"])


@pytest.mark.parametrize(
    ("bounds", "trial_id"),
    [
        ({"latency_ms": {"maximum": 4.0}}, "0002"),  # a cost: the best that fits
        ({"num_parameters": {"maximum": 1e9}}, "0003"),
        ({"speedup": {"minimum": 1.0}}, "0003"),
        ({"ece": {"maximum": 0.02}}, "0001"),  # quality alone: the smallest
        ({"macro_f1": {"minimum": 0.6}}, "0002"),
        ({"macro_f1": {"minimum": 0.6}, "size_mb": {"maximum": 9.0}}, "0003"),
    ],
)
def test_a_bound_on_any_metric_leaves_the_best_that_fits_or_the_smallest(
    make_sweep: MakeSweep, bounds: Any, trial_id: str
):
    assert best(make_sweep, Constraints(bounds=bounds)) == trial_id


def test_within_is_a_share_of_the_teachers_quality(make_sweep: MakeSweep):
    assert best(make_sweep, Constraints(within=0.1)) == "0002"  # 0.7 of 0.77 is 91 %


def test_all_bounds_hold_at_once_and_who_has_not_the_metric_does_not_fit(make_sweep: MakeSweep):
    folder = sweep(make_sweep, *SEVERAL)
    both = Constraints(max_size_mb=5, bounds={"size_mb": {"maximum": 1.5}})
    assert best_student(folder, both)["trial_id"] == "0001"
    with pytest.raises(ConfigError, match="brier not measured"):
        best_student(folder, Constraints(bounds={"brier": {"maximum": 1.0}}))


def test_what_is_not_fulfilled_is_answered_with_what_there_is(make_sweep: MakeSweep):
    folder = sweep(make_sweep, *SEVERAL)
    with pytest.raises(ConfigError) as refused:
        best_student(folder, Constraints(bounds={"latency_ms": {"maximum": 1.0}}))
    assert "there are 3, of size_mb 1.0 to 6.0, macro_f1 0.500 to 0.750" in str(refused.value)
    assert "latency_ms 2.0 to 9.0 on validation" in str(refused.value)


def test_equal_students_are_told_apart_by_their_ids(make_sweep: MakeSweep):
    twins = [completed("0002", 0.7, 2), completed("0001", 0.7, 2)]
    folder = sweep(make_sweep, *twins)
    assert best_student(folder, Constraints(max_size_mb=3))["trial_id"] == "0001"
    assert best_student(folder, Constraints(min_macro_f1=0.1))["trial_id"] == "0001"
