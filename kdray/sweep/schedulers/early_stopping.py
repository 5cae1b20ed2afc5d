"""Ray Tune's side of early stopping: what a rule decides is on disk before anyone is told."""

from collections.abc import Sequence
from typing import Any

from ray.tune.schedulers import FIFOScheduler

from kdray.evaluation.metrics import fixed_bounds
from kdray.reporting.reading import read_verification
from kdray.results.feasibility import is_feasible
from kdray.results.folder import SweepFolder
from kdray.results.records import EpochReport
from kdray.schema import SweepConfig
from kdray.sweep.not_pickled import NotPickled
from kdray.sweep.schedulers.history import best_epoch, criteria_of, past
from kdray.sweep.schedulers.table import RULES, Rule
from kdray.trial_folder import drawn_setup, store_stopped


def make_scheduler(config: SweepConfig, folder: SweepFolder, threads: int) -> FIFOScheduler:
    """Returns Ray Tune's scheduler for `search.scheduler`.

    Args:
        config: The sweep.
        folder: Its folder, with `teacher/verification.json` and the trials that are done.
        threads: Torch threads of a trial.
    """
    rule = RULES.get(type(config.search.scheduler))
    return FIFOScheduler() if rule is None else EarlyStopping(rule, config, folder, threads)


class EarlyStopping(NotPickled, FIFOScheduler):  # type: ignore[misc]  # ray has no types
    """Stops trials by a rule; begins them in their order.

    A trial that is stopped has its result on disk, with status `stopped_early` and the metrics of
    its best epoch so far, when this scheduler says so: Ray tells the search next, which reads it.
    A trial whose size already breaks one of the `constraints` is stopped at its first report, and
    no other is compared with it.
    """

    def __init__(self, rule: Rule, config: SweepConfig, folder: SweepFolder, threads: int) -> None:
        super().__init__()
        self._rule = rule
        self._options = config.search.scheduler
        self._bounds = fixed_bounds(config.constraints)
        self._criteria = criteria_of(config.objectives, read_verification(folder))
        self._folder = folder
        self._threads = threads
        self._history = {
            trial_id: reports
            for trial_id, reports in past(folder).items()
            if all(report.rising or self._keeps(report) for report in reports)
        }

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Stores and stops a trial that the rule stops."""
        if "report" not in result:
            return str(self.CONTINUE)
        trial_id, report = trial.config["trial_id"], EpochReport.from_json(result["report"])
        earlier = [EpochReport.from_json(line) for line in result.get("earlier", ())]
        before = self._history.get(trial_id) or earlier
        if before and report.epoch <= before[-1].epoch:
            # An epoch that is done again, after its worker was lost, was decided on before.
            return str(self.CONTINUE)
        epochs = [*before, report]
        if report.rising:
            self._history[trial_id] = epochs
            stop = False
        elif self._keeps(report):
            self._history[trial_id] = epochs
            stop = self._rule(self._options, self._criteria, self._history, trial_id)
        else:
            stop = report.epoch < report.epochs
        if not stop:
            return str(self.CONTINUE)
        self._store(trial.config, epochs, result["duration_s"])
        return str(self.STOP)

    def _keeps(self, report: EpochReport) -> bool:
        return is_feasible(report.metrics, self._bounds)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Forgets a trial that failed for good; nobody is compared with it."""
        if not trial.should_recover():
            self._history.pop(trial.config["trial_id"], None)

    def _store(
        self, drawn: dict[str, Any], epochs: Sequence[EpochReport], duration_s: float
    ) -> None:
        setup = drawn_setup(drawn, self._threads)
        best = best_epoch(epochs, self._criteria.selection_metric)
        store_stopped(self._folder, setup, epochs, best, duration_s)
