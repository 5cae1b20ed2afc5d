"""A sampler learns from trials that were stopped early; the study keeps their true state."""

import math

import optuna
import pytest
from optuna.samplers import GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from kdray.sweep.stopped_values import WORTH, LearningSampler, worth

DIRECTIONS = ["maximize", "minimize"]
SPACE = {"x": optuna.distributions.FloatDistribution(0, 1)}


class Spy(RandomSampler):
    """Draws at random, and keeps the trials that it could learn from."""

    seen: tuple[FrozenTrial, ...] = ()

    def sample_independent(self, study, trial, param_name, param_distribution):  # type: ignore[no-untyped-def]
        states = (TrialState.COMPLETE, TrialState.PRUNED)
        self.seen = tuple(study._get_trials(deepcopy=False, states=states, use_cache=False))
        return super().sample_independent(study, trial, param_name, param_distribution)


def study_of(sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    return optuna.create_study(sampler=LearningSampler(sampler), directions=DIRECTIONS)


def stop(study: optuna.Study, values: list[float] | None) -> float:
    trial = study.ask()
    x = trial.suggest_float("x", 0, 1)
    if values is not None:
        trial.set_user_attr(WORTH, values)
    study.tell(trial, state=TrialState.PRUNED)
    return x


def test_a_stopped_trial_is_complete_for_the_sampler_and_pruned_in_the_study() -> None:
    spy = Spy(seed=0)
    study = study_of(spy)
    stop(study, [0.4, 2.0])
    stop(study, None)
    study.ask().suggest_float("x", 0, 1)
    first, second = spy.seen
    assert (first.state, first.values) == (TrialState.COMPLETE, [0.4, 2.0])
    assert (second.state, second.values) == (TrialState.PRUNED, None)
    assert [trial.state for trial in study.get_trials()[:2]] == [TrialState.PRUNED] * 2
    assert study.best_trials == []


def test_a_trial_that_waits_is_complete_for_the_sampler_until_it_ends_otherwise() -> None:
    spy = Spy(seed=0)
    study = study_of(spy)
    waiting, running = study.ask(), study.ask()
    for trial in (waiting, running):
        trial.suggest_float("x", 0, 1)
    waiting.set_user_attr(WORTH, [0.4, 2.0])
    study.ask().suggest_float("x", 0, 1)
    assert [(trial.number, trial.values) for trial in spy.seen] == [(0, [0.4, 2.0])]
    # It waits at the next rung, and is stopped there.
    waiting.set_user_attr(WORTH, [0.6, 2.0])
    study.tell(waiting, state=TrialState.PRUNED)
    study.ask().suggest_float("x", 0, 1)
    assert [(trial.number, trial.values) for trial in spy.seen] == [(0, [0.6, 2.0])]


def test_what_a_trial_is_worth_in_the_end_counts_and_not_what_it_was_when_it_waited() -> None:
    spy = Spy(seed=0)
    study = study_of(spy)
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    trial.set_user_attr(WORTH, [0.4, 2.0])
    study.ask().suggest_float("x", 0, 1)
    study.tell(trial, [0.7, 2.0])
    study.ask().suggest_float("x", 0, 1)
    assert [(trial.number, trial.values) for trial in spy.seen] == [(0, [0.7, 2.0])]


@pytest.mark.parametrize("sampler", [TPESampler, GPSampler])
def test_draws_move_to_where_stopped_trials_were_worth_most(
    sampler: type[TPESampler] | type[GPSampler],
) -> None:
    study = study_of(sampler(n_startup_trials=8, seed=0))
    drawn = []
    for _ in range(24):
        trial = study.ask()
        x = trial.suggest_float("x", 0, 1)
        trial.set_user_attr(WORTH, [-((x - 0.8) ** 2), 1.0])
        study.tell(trial, state=TrialState.PRUNED)
        drawn.append(x)
    late = drawn[12:]
    assert sum(abs(x - 0.8) < 0.2 for x in late) > 0.6 * len(late)


def test_the_worth_of_a_trial_is_known_if_every_objective_was_measured() -> None:
    assert worth({"f1": 0.5, "size": 2.0, "other": 1.0}, ["f1", "size"]) == [0.5, 2.0]
    assert worth({"f1": 0.5}, ["f1", "latency"]) is None
    assert worth({"f1": math.nan, "size": 2.0}, ["f1", "size"]) is None
