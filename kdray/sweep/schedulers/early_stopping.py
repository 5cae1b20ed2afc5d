"""Ray Tune's side of early stopping: what a rule decides is on disk before anyone is told."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kdray.results.folder import SweepFolder
from kdray.results.records import EpochReport
from kdray.sweep.schedulers.history import best_epoch
from kdray.sweep.schedulers.in_time import InTime
from kdray.sweep.schedulers.pareto_asha import hopeless
from kdray.sweep.schedulers.rivals import Rivals, Verdict
from kdray.sweep.schedulers.table import RULES
from kdray.sweep.time_budget import TimeBudget
from kdray.trial_folder import drawn_setup, store_stopped

# Takes the id of a trial that was stopped while it waited.
Ended = Callable[[str], None]


class EarlyStopping(InTime):
    """Stops trials by a rule, or lets them wait; begins them in their order.

    A trial that is stopped has its result on disk, with status `stopped_early` and the metrics of
    its best epoch so far, when this scheduler says so: Ray tells the search next, which reads it.
    A trial that waits is over for Ray too, but has no result; the search may go on with it. A
    trial whose size already breaks one of the `constraints` is stopped at its first report, and no
    other is compared with it.

    Args:
        rivals: All trials.
        folder: The sweep's folder.
        threads: Torch threads of a trial.
        ended: Is told of those that are stopped while they wait, which Ray knows nothing of.
        budget: The time that the sweep has.
    """

    def __init__(
        self,
        rivals: Rivals,
        folder: SweepFolder,
        threads: int,
        ended: Ended,
        budget: TimeBudget,
    ) -> None:
        super().__init__(budget)
        self._rivals = rivals
        self._rule = RULES[type(rivals.options)]
        self._folder = folder
        self._threads = threads
        self._ended = ended

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Stores and stops a trial that the rule stops, and those that wait in vain."""
        verdict = self._verdict(trial, result) if "report" in result else "goes on"
        if verdict == "goes on":
            return super().on_trial_result(tune_controller, trial, result)
        return str(self.STOP)

    def _verdict(self, trial: Any, result: Mapping[str, Any]) -> Verdict:
        drawn, report = trial.config, EpochReport.from_json(result["report"])
        own_id = drawn["trial_id"]
        earlier = [EpochReport.from_json(line) for line in result.get("earlier", ())]
        before = max(self._rivals.history.get(own_id, ()), earlier, key=len)
        if before and report.epoch <= before[-1].epoch:
            # An epoch that is done again, after its worker was lost, was decided on before.
            return "goes on"
        verdict = self._judge(own_id, [*before, report])
        if verdict == "stops":
            self._store(drawn, [*before, report], result["duration_s"])
        elif verdict == "waits":
            self._rivals.waiting[own_id] = drawn
            self._rivals.worked_s[own_id] = result["duration_s"]
            self._stop(hopeless(self._rivals), arriving=own_id)
        return verdict

    def _judge(self, trial_id: str, epochs: list[EpochReport]) -> Verdict:
        last = epochs[-1]
        if not self._rivals.compares(last):
            return "stops" if last.epoch < last.epochs else "goes on"
        self._rivals.history[trial_id] = epochs
        return "goes on" if last.rising else self._rule(self._rivals, trial_id)

    def stop_waiting(self) -> None:
        """Stops the trials that still wait, and stores them."""
        self._stop(list(self._rivals.waiting))

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Forgets a trial that failed for good; nobody is compared with it."""
        # Ray tries it again, should the search have failed to let it wait.
        self._rivals.waiting.pop(trial.config["trial_id"], None)
        if not trial.should_recover():
            self._rivals.history.pop(trial.config["trial_id"], None)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Forgets a trial whose worker says that it failed; to Ray it came to its end."""
        found = self._folder.result(trial.config["trial_id"])
        if found is not None and found.status == "failed":
            self._rivals.history.pop(trial.config["trial_id"], None)

    def _stop(self, trial_ids: Iterable[str], arriving: str | None = None) -> None:
        """Stops trials that wait; of the one that has just come Ray itself will tell."""
        for trial_id in trial_ids:
            drawn, epochs = self._rivals.waiting.pop(trial_id), self._rivals.history[trial_id]
            seconds = sum(report.duration_s for report in epochs)
            self._store(drawn, epochs, self._rivals.worked_s.pop(trial_id, seconds))
            if trial_id != arriving:
                self._ended(trial_id)

    def _store(
        self, drawn: Mapping[str, Any], epochs: Sequence[EpochReport], duration_s: float
    ) -> None:
        best = best_epoch(epochs, self._rivals.criteria.selection_metric)
        setup = drawn_setup(drawn, self._threads)
        store_stopped(self._folder, setup, epochs, best, duration_s)
