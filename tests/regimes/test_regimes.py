"""What holds for every regime: a whole run inside the trial, that learns."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from kdray.distillation.regimes import REGIMES
from kdray.models.building import freeze
from kdray.preparation import PreparedSweep
from kdray.regimes.table import RUNS
from kdray.results.records import TEACHER_EXAMPLES
from kdray.schema import TrialConfig
from kdray.teacher.outputs import TeacherOutputs
from kdray.trial import Finished, run_trial
from tests import tiny

Trial = Callable[..., TrialConfig]
EACH: dict[str, dict[str, Any]] = {
    "single": {"name": "single"},
    "progressive": {"name": "progressive", "assistants": [{"layers": 2}, {"layers": 1}]},
    "born_again": {"name": "born_again", "generations": 2},
    "mutual": {"name": "mutual"},
    "online": {"name": "online"},
}
GENERATIONS = {"single": 1, "progressive": 3, "born_again": 2, "mutual": 1, "online": 1}
every_regime = pytest.mark.parametrize("name", EACH)


@pytest.fixture(scope="module")
def done(sweep: PreparedSweep, trial: Trial) -> Callable[[str], Finished]:
    """One trial of a regime."""
    return cache(lambda name: run_trial(trial(regime=EACH[name]), sweep))


def untaught(sweep: PreparedSweep) -> PreparedSweep:
    """The sweep with a teacher that has learnt nothing."""
    state = freeze(tiny.model(tiny.SINGLE, layers=3, seed=9))
    logits = np.random.default_rng(0).normal(size=(192, 3)).astype(np.float32)
    kept: TeacherOutputs = replace(sweep.outputs, columns={"logits": logits})
    verified = replace(sweep.verified, digest=digest(state))
    return replace(sweep, teacher=state, outputs=kept, verified=verified)


def digest(state: Any) -> str:
    from kdray.teachers import teacher_digest

    return teacher_digest(state)


def test_every_regime_has_options_and_a_way_to_run() -> None:
    assert set(REGIMES.values()) == set(RUNS)
    assert set(REGIMES) == set(EACH)


@every_regime
def test_a_student_learns_what_can_be_learnt(sweep: PreparedSweep, trial: Trial, name: str) -> None:
    config = trial(regime=EACH[name], training={"epochs": 6})
    assert run_trial(config, sweep).metrics["test_macro_f1"] > 0.9


@every_regime
def test_epochs_are_counted_over_all_generations_and_those_of_the_last_are_judged(
    done: Callable[[str], Finished], name: str
) -> None:
    finished = done(name)
    total = 2 * GENERATIONS[name]
    assert [one.epoch for one in finished.epochs] == list(range(1, total + 1))
    assert {one.epochs for one in finished.epochs} == {total}
    assert [one.rising for one in finished.epochs] == [True] * (total - 2) + [False] * 2
    assert [one.counted for one in finished.epochs][-2:] == [1, 2]
    assert {one.to_count for one in finished.epochs} == {2}
    assert finished.selected_epoch in (total - 1, total)


@every_regime
def test_the_selected_epoch_is_the_best_of_the_last_generation(
    done: Callable[[str], Finished], name: str
) -> None:
    finished = done(name)
    last = [one.metrics["macro_f1"] for one in finished.epochs if not one.rising]
    assert finished.metrics["macro_f1"] == max(last)
    selected = finished.epochs[finished.selected_epoch - 1]
    assert selected.metrics["macro_f1"] == max(last)


@every_regime
def test_the_sweeps_teacher_is_not_run_again(done: Callable[[str], Finished], name: str) -> None:
    assert not any(TEACHER_EXAMPLES in report.training for report in done(name).epochs)


@pytest.mark.parametrize("name", ["single", "progressive", "born_again"])
def test_what_the_sweeps_teacher_says_matters_where_it_teaches(
    sweep: PreparedSweep, trial: Trial, done: Callable[[str], Finished], name: str
) -> None:
    one, other = done(name), run_trial(trial(regime=EACH[name]), untaught(sweep))
    assert not np.array_equal(one.logits["test"], other.logits["test"])


@pytest.mark.parametrize("name", ["mutual", "online"])
def test_what_the_sweeps_teacher_says_does_not_matter_where_it_does_not(
    sweep: PreparedSweep, trial: Trial, done: Callable[[str], Finished], name: str
) -> None:
    one, other = done(name), run_trial(trial(regime=EACH[name]), untaught(sweep))
    assert np.array_equal(one.logits["test"], other.logits["test"])


@every_regime
def test_the_final_student_is_pruned_as_configured(
    sweep: PreparedSweep, trial: Trial, name: str
) -> None:
    pruning = {"method": "magnitude", "ratio": 0.5, "scope": "layer"}
    finished = run_trial(trial(regime=EACH[name], pruning=pruning), sweep)
    whole = finished.epochs[0].metrics["num_parameters"]
    for report in finished.epochs:
        pruned = report.metrics["nonzero_parameters"] < 0.9 * report.metrics["num_parameters"]
        assert pruned == (name != "progressive" or not report.rising), report.epoch
    assert finished.metrics["nonzero_parameters"] < 0.9 * whole
