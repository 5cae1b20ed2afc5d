"""What a sampler learns from: trials that were stopped early too, and not all of a long sweep.

Optuna takes no values of a stopped trial with several objectives, and TPE then counts the oldest of
the stopped trials among the good ones. The study keeps their true state, PRUNED, and what they were
worth when they were stopped beside it; the sampler alone sees them as trials with these values, and
so those that wait to go on, or have gone on, until they end.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from kdray.sweep.forgetting import forgettable

# A user attribute of a trial that was stopped, or waited: its values of the objectives, in their
# order.
WORTH = "worth"
_CUT_SHORT = (TrialState.PRUNED, TrialState.RUNNING)


class LearningSampler(BaseSampler):
    """A sampler that learns from stopped trials too, and forgets what teaches it nothing new.

    Args:
        sampler: Draws; it sees stopped trials that are worth something as complete.
        forgotten: Numbers of the trials that it sees no more; they are added here.
    """

    def __init__(self, sampler: BaseSampler, forgotten: set[int] | None = None) -> None:
        self._sampler = sampler
        self._forgotten = set[int]() if forgotten is None else forgotten
        self._seen_of: _View | None = None

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Returns what the sampler draws together."""
        return self._sampler.infer_relative_search_space(self._view(study), trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Returns what the sampler draws together."""
        return self._sampler.sample_relative(self._view(study), trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Returns what the sampler draws for one parameter."""
        view = self._view(study)
        return self._sampler.sample_independent(view, trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Tells the sampler that a trial begins."""
        self._sampler.before_trial(study, trial)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Tells the sampler how a trial ended."""
        self._sampler.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        """Draws otherwise from now on."""
        self._sampler.reseed_rng()

    def _view(self, study: optuna.Study) -> optuna.Study:
        if self._seen_of is None or self._seen_of.study is not study:
            self._seen_of = _View(study, self._forgotten)
        return cast(optuna.Study, self._seen_of)


class _View:
    """A study in which trials that did not come to their end, but are worth something, did."""

    def __init__(self, study: optuna.Study, forgotten: set[int]) -> None:
        self.study = study
        self._known: dict[int, FrozenTrial] = {}
        self._forgotten = forgotten
        self._read: list[FrozenTrial] = []
        self._found: list[FrozenTrial] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.study, name)

    def _get_trials(
        self, deepcopy: bool = True, states: Any = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        trials = self.study._get_trials(deepcopy, None, use_cache)
        # A draw asks several times; lists of the same trials are compared in no time.
        if deepcopy or trials != self._read:
            self._read, self._found = trials, self._seen(trials)
        return [trial for trial in self._found if states is None or trial.state in states]

    def _seen(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        trials = [trial for trial in trials if trial.number not in self._forgotten]
        found = [self._as_seen(trial) for trial in trials]
        told = [
            seen
            for trial, seen in zip(trials, found, strict=True)
            if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
        ]
        more = forgettable(told, self.study.directions)
        self._forgotten |= more
        return [trial for trial in found if trial.number not in more]

    def _as_seen(self, trial: FrozenTrial) -> FrozenTrial:
        worth = trial.user_attrs.get(WORTH)
        if trial.state not in _CUT_SHORT or worth is None:
            return trial
        known = self._known.get(trial.number)
        if known is None or known.values != worth:
            known = copy.copy(trial)
            known.state, known.values = TrialState.COMPLETE, worth
            self._known[trial.number] = known
        return known


def worth(metrics: Mapping[str, float], objectives: Sequence[str]) -> list[float] | None:
    """Returns a stopped trial's values of the objectives; None if one is not known yet."""
    values = [metrics.get(name, math.nan) for name in objectives]
    return values if all(map(math.isfinite, values)) else None
