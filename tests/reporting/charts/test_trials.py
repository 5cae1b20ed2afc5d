from kdray.reporting.charts.trials import completed, levels, setting, told
from kdray.results.folder import write_trial

from ..conftest import MakeSweep, failed, stopped
from .conftest import tabled, trial


def test_a_setting_is_what_was_drawn_or_what_the_file_fixes(make_sweep: MakeSweep) -> None:
    sweep = tabled(make_sweep(trial(1, 0.7, distillation__alpha=0.2), trial(2, 0.6)))
    first, second = sweep.rows
    assert setting(first, sweep, "distillation.alpha") == 0.2
    assert setting(first, sweep, "distillation.method") == "logit"
    # A domain is no value, and a regime is not in the file at all.
    assert setting(second, sweep, "distillation.alpha") is None
    assert setting(first, sweep, "regime.name") is None


def test_levels_are_the_teacher_the_best_baseline_and_trials_without_a_teacher(
    make_sweep: MakeSweep,
) -> None:
    folder = make_sweep(
        trial(1, 0.70, distillation__method="logit"),
        trial(2, 0.74, distillation__method="logit"),
        trial(3, 0.60, distillation__method="none"),
        trial(4, 0.64, distillation__method="none"),
        evaluation={"baselines": True},
        distillation={"method": {"choice": ["none", "logit"]}},
    )
    write_trial(folder.baselines, trial(1, 0.66))
    write_trial(folder.baselines, trial(2, 0.65))
    assert levels(tabled(folder)) == {
        "teacher": 0.77,
        "labels only: best baseline": 0.66,
        "labels only: median of 2 trials": 0.62,
    }


def test_levels_that_are_not_there_are_left_out(make_sweep: MakeSweep) -> None:
    assert levels(tabled(make_sweep(trial(1, 0.7)))) == {"teacher": 0.77}


def test_only_completed_trials_are_compared(make_sweep: MakeSweep) -> None:
    sweep = tabled(make_sweep(trial(1, 0.7), stopped("0002", 0.5, 1), failed("0003")))
    assert [row["trial_id"] for row in completed(sweep)] == ["0001"]


def test_a_trial_is_told_with_its_quality_and_what_was_drawn(make_sweep: MakeSweep) -> None:
    sweep = tabled(make_sweep(trial(1, 0.7, distillation__alpha=0.25)))
    lines = told(sweep.rows[0], sweep).splitlines()
    assert lines[:2] == ["trial 0001", "macro-F1 0.700"]
    assert "alpha 0.25" in lines
