"""What the driver does when a trial starts, reports or ends: record, show, keep the front."""

import re
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

from ray.tune import Callback

from kdray.reporting.reading import read_verification
from kdray.reporting.summary import front_hypervolume, front_ids
from kdray.results.folder import SweepFolder
from kdray.results.records import EpochReport, TrialResult
from kdray.schema import SweepConfig
from kdray.sweep.failures import error_of, failure_of, is_full
from kdray.sweep.not_pickled import NotPickled
from kdray.sweep.progress import Progress
from kdray.sweep.search import StudySearch
from kdray.tracking.record import SweepRecord
from kdray.trial_folder import drawn_setup, store_failed

# So many trials that all fail for one reason from the start are enough to know.
ALIKE = 5
# At the end of a sweep all is shared.
SHARE_EVERY_S = 10.0


class Bookkeeping(NotPickled, Callback):  # type: ignore[misc]  # ray has no types
    """Ray Tune tells it what happens; what finished is read from disk, not from what Ray says."""

    def __init__(
        self, searcher: StudySearch, record: SweepRecord, progress: Progress, threads: int
    ) -> None:
        config, folder = searcher.config, searcher.folder
        self._config = config
        self._folder = folder
        self._record = record
        self._progress = progress
        self._threads = threads
        self._halt, self._waiting = searcher.halt, searcher.waiting
        self._cut_off = searcher.budget.cut_off
        self._running: dict[str, tuple[float, EpochReport | None]] = {}
        self._first: list[TrialResult] = []
        self._front = _front(config, folder.results())
        self._verification = read_verification(folder)
        self._worth = self._hypervolume()
        self._share_again = 0.0
        for trial_id in searcher.waiting():
            self._wait(trial_id)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Opens the trial's run."""
        trial_id, parameters = trial.config["trial_id"], trial.config["parameters"]
        self._running[trial_id] = (monotonic(), None)
        self._record.start_trial(trial_id, parameters)
        self._progress.started(trial_id, parameters)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: Mapping[str, Any], **info: Any
    ) -> None:
        """Records an epoch."""
        if "report" in result:
            trial_id, report = trial.config["trial_id"], EpochReport.from_json(result["report"])
            self._running[trial_id] = (self._running[trial_id][0], report)
            self._record.log_epoch(trial_id, report)
            self._progress.epoch(trial_id, report.epoch, report.epochs)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Records the end of a trial, or that it waits, for others or for a resume."""
        trial_id = trial.config["trial_id"]
        if trial_id in self._waiting():
            self._running.pop(trial_id)
            self._wait(trial_id)
        elif trial_id in self._cut_off and self._folder.result(trial_id) is None:
            self._running.pop(trial_id, None)
            self._progress.cut_off(trial_id)
        else:
            self._finish(trial, None)

    def _wait(self, trial_id: str) -> None:
        self._record.tag_trial(trial_id, {"status": "waiting"})
        self._progress.waits(trial_id)

    def stopped(self, trial_id: str) -> None:
        """Records the end of a trial that was stopped while it waited."""
        result = self._folder.result(trial_id)
        assert result is not None, "it is on disk before anyone is told"
        self._end(result)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Records a failure; one whose worker died is written here, for the worker could not."""
        self._finish(trial, error_of(trial))

    def _finish(self, trial: Any, error: BaseException | None) -> None:
        trial_id = trial.config["trial_id"]
        begun, last = self._running.pop(trial_id, (monotonic(), None))
        result = self._folder.result(trial_id)
        if result is None and error is not None and is_full(error):
            self._halt("a disk is full")
            return
        if result is None:
            failure = failure_of(error, last, monotonic() - begun)
            setup = drawn_setup(trial.config, self._threads)
            result = store_failed(self._folder, setup, failure)
        self._end(result)

    def _end(self, result: TrialResult) -> None:
        self._stop_if_all_fail(result)
        self._record_end(result, self._place(result))
        self._progress.finished(result, self._worth)
        self._share()

    def _share(self) -> None:
        """Shares the study's journal, which grows to megabytes; not at each of many short trials.

        A resume that finds an older one in an object store tells Optuna what lies there finished.
        """
        if monotonic() >= self._share_again:
            self._folder.share(self._folder.optuna_log, self._folder.tracking_json)
            self._share_again = monotonic() + SHARE_EVERY_S

    def _place(self, result: TrialResult) -> list[str]:
        """Takes a trial to the front if it belongs there; returns those that do not, or no more."""
        # The front of all trials is that of the front before and the new one, and worth as much.
        candidates = {**self._front, result.trial_id: result}
        if result.status == "completed":
            self._front = _front(self._config, list(candidates.values()))
        if result.trial_id in self._front:
            self._worth = self._hypervolume()
        return sorted(candidates.keys() - self._front.keys())

    def _stop_if_all_fail(self, result: TrialResult) -> None:
        """Stops a sweep whose first trials all failed for one reason."""
        if len(self._first) == ALIKE:
            return
        self._first.append(result)
        # Two trials that ran out of memory had other numbers of bytes left.
        reasons = {(first.stage, re.sub(r"\d+", "#", first.error or "")) for first in self._first}
        if len(self._first) == ALIKE and len(reasons) == 1 and result.status == "failed":
            self._halt(
                f"the first {ALIKE} trials all failed for one reason: "
                f"{result.stage}: {result.error}"
            )

    def _record_end(self, result: TrialResult, dominated: Sequence[str]) -> None:
        tags = {"on_front": str(result.trial_id in self._front).lower()}
        self._record.finish_trial(result, tags)
        for trial_id in dominated:
            if trial_id != result.trial_id:
                self._record.tag_trial(trial_id, {"on_front": "false"})
            if self._config.search.keep == "front":
                self._folder.remove(self._folder.student(trial_id))

    def _hypervolume(self) -> float:
        config = self._config
        front = list(self._front.values())
        return front_hypervolume(front, config.objectives, self._verification, config.constraints)


def _front(config: SweepConfig, results: Sequence[TrialResult]) -> dict[str, TrialResult]:
    by_id = {result.trial_id: result for result in results}
    ids = front_ids(results, config.objectives, config.constraints)
    return {trial_id: by_id[trial_id] for trial_id in ids}


def drop_dominated(
    config: SweepConfig, folder: SweepFolder, results: Mapping[str, TrialResult]
) -> None:
    """Deletes the weights of every finished trial that is not on the front, if only it is kept."""
    if config.search.keep != "front":
        return
    front = set(front_ids(list(results.values()), config.objectives, config.constraints))
    for trial_id in folder.students():
        if trial_id in results and trial_id not in front:
            folder.remove(folder.student(trial_id))
