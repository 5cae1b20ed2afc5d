"""The search of a sweep whose trials wait at rungs: what runs next is one of them, or a new one.

To Ray a trial that waits is over, and its going on is another trial; the trial folder, Optuna and
MLflow know one trial, which goes on from its checkpoint.
"""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import optuna
from ray.tune.search import Searcher

from kdray.config.search import ParetoAsha
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig
from kdray.sweep.reconciling import TRIAL_ID, claimed, tell, tell_worth
from kdray.sweep.schedulers.history import best_epoch
from kdray.sweep.schedulers.pareto_asha import next_up, waits_there
from kdray.sweep.schedulers.rivals import Rivals
from kdray.sweep.search import StudySearch


def make_search(
    study: optuna.Study,
    config: SweepConfig,
    folder: SweepFolder,
    rivals: Rivals | None,
    trials: int,
) -> StudySearch:
    """Returns Ray Tune's side of a study.

    Args:
        study: Draws.
        config: The sweep.
        folder: Its folder.
        rivals: All trials; None if none is stopped early.
        trials: How many are still to be begun.
    """
    if rivals is not None and isinstance(rivals.options, ParetoAsha):
        return PromotingSearch(study, config, folder, rivals, max(0, trials))
    return StudySearch(study, config, folder, max(0, trials))


class PromotingSearch(StudySearch):
    """A search that sends on trials that wait before it begins new ones.

    Args:
        study: Draws.
        config: The sweep.
        folder: Its folder.
        rivals: All trials.
        trials: How many are still to be begun.
    """

    def __init__(
        self,
        study: optuna.Study,
        config: SweepConfig,
        folder: SweepFolder,
        rivals: Rivals,
        trials: int,
    ) -> None:
        super().__init__(study, config, folder)
        self._rivals = rivals
        self._left = trials
        self._running = set[str]()
        self._waiting: dict[str, optuna.Trial] = {}
        self._take_up()
        self.samples = -1 if self._left or self._waiting else 0

    def _take_up(self) -> None:
        """Lets those that were cut off while they waited wait again, before any is begun.

        All of them, also where a sweep goes on with fewer trials than have begun.
        """
        for trial in claimed(self._ot_study, partial(waits_there, self._rivals)):
            drawn = self._drawn(trial)
            self._left = max(0, self._left - 1)
            self._wait(trial, drawn[TRIAL_ID])
            self._rivals.waiting[drawn[TRIAL_ID]] = drawn

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Returns what runs next; None while that depends on trials that run."""
        if self.halted or self.budget.is_over():
            return str(Searcher.FINISHED)
        drawn = self._promoted(trial_id) or self._begun(trial_id)
        if drawn is not None:
            self._running.add(trial_id)
            return drawn
        if self._running:
            return None
        self.exhausted = True
        return str(Searcher.FINISHED)

    def _promoted(self, trial_id: str) -> dict[str, Any] | None:
        own_id = next_up(self._rivals, all_begun=not self._left)
        if own_id is None:
            return None
        self._ot_trials[trial_id] = self._waiting.pop(own_id)
        return dict(self._rivals.waiting.pop(own_id))

    def _begun(self, trial_id: str) -> dict[str, Any] | None:
        if not self._left:
            return None
        self._left -= 1
        drawn = super().suggest(trial_id)
        assert isinstance(drawn, dict), "only a search that was halted draws nothing"
        return drawn

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tells Optuna how the trial ended, or what it is worth while it waits."""
        trial = self._ot_trials[trial_id]
        if trial.user_attrs[TRIAL_ID] in self._rivals.waiting:
            self._wait(trial, trial.user_attrs[TRIAL_ID])
        else:
            super().on_trial_complete(trial_id, result, error)
        # Not before: Ray tries a trial again of whose end Optuna could not be told.
        self._running.discard(trial_id)

    def _wait(self, trial: optuna.Trial, own_id: str) -> None:
        metric = self._rivals.criteria.selection_metric
        best = best_epoch(self._rivals.history[own_id], metric)
        tell_worth(self._ot_study, trial.number, best.metrics, self.config)
        self._waiting[own_id] = trial

    def waiting(self) -> Collection[str]:
        """Returns the own ids of the trials that wait to go on."""
        return self._rivals.waiting.keys()

    def stopped(self, own_id: str) -> None:
        """Tells Optuna of a trial that was stopped while it waited."""
        trial = self._waiting.pop(own_id)
        tell(self._ot_study, trial.number, self.folder.result(own_id), self.config)
