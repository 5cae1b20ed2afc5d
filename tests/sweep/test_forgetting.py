"""A long sweep: its sampler looks at as many trials as it ever needs, and draws as well."""

import itertools
from collections.abc import Mapping

import optuna
import pytest
from optuna.samplers import RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from kdray.sweep import forgetting
from kdray.sweep.forgetting import forgettable
from kdray.sweep.stopped_values import LearningSampler

DIRECTIONS = [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "LATEST", 3)
    monkeypatch.setattr(forgetting, "BEST", 2)
    monkeypatch.setattr(forgetting, "SLACK", 1)


def trials(
    *values: tuple[float, float] | None,
    constraints: Mapping[int, Mapping[str, float]] | None = None,
) -> list[FrozenTrial]:
    """Finished trials; one without values was stopped early."""
    study = optuna.create_study(directions=["maximize", "minimize"])
    for number, pair in enumerate(values):
        trial = study.ask()
        for name, value in (constraints or {}).get(number, {}).items():
            trial.set_constraint(name, value)
        study.tell(trial, pair, state=TrialState.PRUNED if pair is None else None)
    return study.get_trials()


LATE = [(0.0, 9.0)] * 3


def test_nothing_is_forgotten_until_there_are_more_than_enough() -> None:
    assert forgettable(trials(*[(0.0, 1.0)] * 6), DIRECTIONS) == set()
    assert len(forgettable(trials(*[(0.0, 1.0)] * 7), DIRECTIONS)) == 2


def test_the_latest_and_the_best_of_those_before_are_kept() -> None:
    # On the front of the older four are 1 and 3; the latest are all worse, and stay.
    found = trials((0.1, 5.0), (0.9, 5.0), (0.2, 3.0), (0.3, 1.0), *LATE)
    assert forgettable(found, DIRECTIONS) == {0, 2}


def test_trials_without_values_are_forgotten_first() -> None:
    found = trials(None, (0.1, 5.0), None, (0.3, 1.0), *LATE)
    assert forgettable(found, DIRECTIONS) == {0, 2}


def test_what_breaks_a_constraint_is_worse_the_more_it_does() -> None:
    bounds = {0: {"a": 2.0}, 1: {"a": 0.5}, 2: {"a": -1.0, "b": 1.0}, 3: {"a": -1.0}}
    found = trials((0.9, 1.0), (0.9, 1.0), (0.9, 1.0), (0.1, 5.0), *LATE, constraints=bounds)
    assert forgettable(found, DIRECTIONS) == {0, 2}


class Spy(RandomSampler):
    """Draws at random, and counts the trials that it could learn from."""

    def __init__(self) -> None:
        super().__init__(seed=0)
        self.seen: list[set[int]] = []

    def sample_independent(self, study, trial, param_name, param_distribution):  # type: ignore[no-untyped-def]
        states = (TrialState.COMPLETE,)
        found = study._get_trials(deepcopy=False, states=states, use_cache=False)
        self.seen.append({one.number for one in found})
        return super().sample_independent(study, trial, param_name, param_distribution)


def test_what_is_forgotten_is_not_seen_again_and_stays_in_the_study() -> None:
    spy, forgotten = Spy(), set[int]()
    study = optuna.create_study(
        sampler=LearningSampler(spy, forgotten), directions=["maximize", "minimize"]
    )
    for _ in range(20):
        trial = study.ask()
        study.tell(trial, [trial.suggest_float("x", 0, 1), 1.0])
    assert max(len(seen) for seen in spy.seen) <= 7
    assert all(not now - before - {max(now)} for before, now in itertools.pairwise(spy.seen[1:]))
    assert len(study.get_trials()) == 20
    assert forgotten.isdisjoint(spy.seen[-1])
    assert {16, 17, 18} <= spy.seen[-1]
