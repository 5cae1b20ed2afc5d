"""Draws are Optuna's own, of a space whose parameters come and go."""

from typing import Any

import optuna
import pytest
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

from kdray.sweep.grouped_tpe import GroupedTpe
from kdray.sweep.stopped_values import WORTH, LearningSampler

OPTIONS = {"n_startup_trials": 5, "multivariate": True}
TOLD = (TrialState.COMPLETE, TrialState.PRUNED)


def draw(trial: optuna.Trial) -> tuple[float, float]:
    """Draws what the method takes; returns what the trial is worth."""
    x, method = trial.suggest_float("x", 0, 1), trial.suggest_categorical("method", ["a", "b", "c"])
    worth = x
    if method != "a":
        worth += trial.suggest_float("alpha", 0, 1)
    if method == "c":
        worth -= trial.suggest_int("depth", 1, 9) / 9
        if x > 0.5:
            worth += trial.suggest_float("late", 1e-3, 1, log=True)
    return worth, x**2


def run(study: optuna.Study, trials: int) -> list[dict[str, Any]]:
    """Draws one after the other; every third is stopped early, every seventh fails."""
    for number in range(trials):
        trial = study.ask()
        values = draw(trial)
        if number % 7 == 6:
            study.tell(trial, state=TrialState.FAIL)
        elif number % 3 == 2:
            trial.set_user_attr(WORTH, list(values))
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, values)
    return [trial.params for trial in study.get_trials(deepcopy=False)]


def study_of(sampler: TPESampler) -> optuna.Study:
    directions = ["maximize", "minimize"]
    return optuna.create_study(sampler=LearningSampler(sampler), directions=directions)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("seed", range(3))
def test_it_draws_what_tpe_draws_that_goes_through_all_trials(seed: int) -> None:
    plain = TPESampler(seed=seed, group=True, **OPTIONS)
    grouped = GroupedTpe(seed=seed, **OPTIONS)

    assert run(study_of(grouped), 40) == run(study_of(plain), 40)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("seed", range(8))
def test_it_draws_what_tpe_draws_in_a_study_that_goes_on(seed: int) -> None:
    ends = []
    for sampler in (TPESampler(seed=2, group=True, **OPTIONS), GroupedTpe(seed=2, **OPTIONS)):
        study = study_of(TPESampler(seed=seed, **OPTIONS))
        run(study, 20)
        study.sampler = LearningSampler(sampler)
        ends.append(run(study, 20))

    assert ends[0] == ends[1]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_trial_whose_parameters_were_seen_before_is_not_looked_at_again() -> None:
    looked_at = list[list[FrozenTrial]]()

    class Groups:
        """Stands in for Optuna's groups."""

        def calculate(self, study: Any, use_cache: bool) -> Any:
            looked_at.append(study._get_trials(deepcopy=False, states=TOLD, use_cache=use_cache))
            return optuna.search_space.group_decomposed._SearchSpaceGroup()

    sampler = GroupedTpe(seed=0, **OPTIONS)
    sampler._group_decomposed_search_space = Groups()  # type: ignore[assignment]
    run(study_of(sampler), 60)

    names = [frozenset(trial.distributions) for trials in looked_at for trial in trials]
    assert len(names) == len(set(names)) == 4
