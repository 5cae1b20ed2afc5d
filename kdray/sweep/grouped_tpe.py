"""TPE that derives what it draws together from what is new, not from all trials at each draw."""

from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial


class GroupedTpe(TPESampler):
    """Optuna's TPE with `group`: parameters that always come together are drawn together.

    Optuna divides the names of parameters into groups by those of each trial, adds all trials to
    these groups again at each draw, and a trial whose names were added before changes nothing.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(group=True, **options)
        self._added: set[frozenset[str]] = set()

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Returns what is drawn together."""
        novel = cast(optuna.Study, _Novel(study, self._added))
        return super().infer_relative_search_space(novel, trial)


class _Novel:
    """A study of which only trials are told whose names of parameters are not added yet."""

    def __init__(self, study: optuna.Study, added: set[frozenset[str]]) -> None:
        self._study = study
        self._added = added

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(self, *arguments: Any, **options: Any) -> list[FrozenTrial]:
        trials = self._study._get_trials(*arguments, **options)
        first: dict[frozenset[str], FrozenTrial] = {}
        for trial in trials:
            first.setdefault(frozenset(trial.distributions), trial)
        novel = [trial for names, trial in first.items() if names not in self._added]
        self._added.update(first)
        return novel
