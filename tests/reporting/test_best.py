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
