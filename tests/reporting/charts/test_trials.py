from kdray.distillation.table import DISTILLATION
from kdray.reporting.charts.trials import (
    ALPHA_ALONE,
    completed,
    is_labels_only,
    labels_only,
    levels,
    setting,
    told,
)
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


def test_levels_are_the_teacher_and_the_best_and_median_of_what_learnt_from_labels_alone(
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
    # Not on the front.
    write_trial(folder.baselines, trial(3, 0.9))
    assert levels(tabled(folder)) == {
        "teacher": 0.77,
        "labels only: best": 0.66,
        "labels only: median": 0.645,
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


def test_alpha_0_is_labels_only_where_alpha_is_all_of_the_teacher(make_sweep: MakeSweep) -> None:
    trials = [
        trial(1, 0.6, distillation__method="none"),
        trial(2, 0.6, distillation__method="logit", distillation__alpha=0),
        trial(3, 0.6, distillation__method="hidden", distillation__alpha=0),
        trial(4, 0.6, distillation__method="logit", distillation__alpha=0.1),
    ]
    sweep = tabled(make_sweep(*trials))
    assert [is_labels_only(row, sweep) for row in sweep.rows] == [True, True, False, False]


def test_methods_that_alpha_is_all_of_are_those_without_other_terms() -> None:
    base = DISTILLATION["none"]
    more = ("extra_terms", "hint_terms")
    plain = [
        name
        for name, method in DISTILLATION.items()
        if all(getattr(method, term) is getattr(base, term) for term in more)
    ]
    assert plain == ["none", *ALPHA_ALONE]


def test_a_baseline_is_told_with_its_student_and_without_a_teacher(make_sweep: MakeSweep) -> None:
    student = trial(1, 0.7, distillation__alpha=0.25, pruning__ratio=0.5)
    folder = make_sweep(student, evaluation={"baselines": True})
    write_trial(folder.baselines, trial(1, 0.66))
    sweep = tabled(folder)
    (twin,) = labels_only(sweep)
    lines = told(twin, sweep).splitlines()
    assert lines[:2] == ["trial 0001, labels only", "macro-F1 0.660"]
    assert {"ratio 0.5", "distillation none"} < set(lines)
    assert not any("alpha" in line or "temperature" in line for line in lines)
