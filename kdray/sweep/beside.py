"""What is run beside the search: students of the front once more, as Ray tasks on trials' slots.

They are no trials: the search does not know them, and they lie in a folder of their own kind.
"""

import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import ray
from ray.exceptions import RayError

from kdray.config.search import Search
from kdray.results.folder import SweepFolder, write_trial
from kdray.results.records import TrialResult
from kdray.schema import trial_config
from kdray.sweep.failures import failure_of, is_full
from kdray.sweep.resources import Slot
from kdray.sweep.trainable import Shared, run_stored
from kdray.sweep.watchdog import DYING_S
from kdray.trial_folder import Failure, TrialSetup, load_setup, store_failed
from kdray.waiting import progress

# Seconds between two looks at the clock.
LOOK_S = 1.0


@dataclass(frozen=True)
class _Attempt:
    """One run, the how-manieth, and since when it has had its slot; None while it waits for one."""

    setup: TrialSetup
    number: int
    begun: float | None = None

    def seconds(self) -> float:
        return 0.0 if self.begun is None else time.monotonic() - self.begun


@dataclass
class Queue:
    """Runs that wait for a slot, and those that have one.

    Nothing that happens to a run ends the others: one that fails is on disk with its reason.

    Attributes:
        search: How often a run is tried again, and how long it may take.
        shared: What every run gets; its folder is of the kind that they are.
        slot: Resources of a run, and how many go side by side at most.
        tell: Takes the result of each run that ended.
        deadline: When the rest is left out, in seconds of `time.monotonic`; None for never.
        is_full: Whether a disk was found full, which ended the queue.
    """

    search: Search
    shared: Shared
    slot: Slot
    tell: Callable[[TrialResult], None]
    deadline: float | None = None
    is_full: bool = False

    def __post_init__(self) -> None:
        self._waiting: deque[_Attempt] = deque()
        self._running: dict[ray.ObjectRefGenerator, _Attempt] = {}

    def is_late(self) -> bool:
        """Returns whether the deadline is over."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def work_through(self, missing: Sequence[TrialSetup]) -> int:
        """Runs until all is done, the deadline is over, or the disk is full.

        Those of one configuration share one run.

        Returns:
            How many runs were left out.
        """
        done = self._by_configuration(self.shared.folder.results())
        first: dict[str, TrialSetup] = {}
        for setup in missing:
            first.setdefault(self._key(setup), setup)
        self._waiting.extend(_Attempt(one, 1) for key, one in first.items() if key not in done)
        total = len(self._waiting)
        try:
            while (self._waiting or self._running) and not self.is_late() and not self.is_full:
                self._begin()
                self._look()
                left = len(self._waiting) + len(self._running)
                progress("runs beside the front", total - left, total)
        finally:
            for run in self._running:
                ray.cancel(run, force=True)
        self._share_out(missing)
        return len(self._waiting) + len(self._running)

    def _begin(self) -> None:
        task = _stored.options(num_cpus=self.slot.cpus, num_gpus=self.slot.gpus, max_retries=0)
        while self._waiting and len(self._running) < self.slot.concurrent:
            attempt = self._waiting.popleft()
            self._running[task.remote(attempt.setup, self.shared)] = attempt

    def _look(self) -> None:
        ready, _ = ray.wait(list(self._running), timeout=LOOK_S)
        for run in ready:
            attempt = self._running.pop(run)
            try:
                ray.get(next(run))
            except StopIteration:
                self._tell(attempt.setup.trial_id)
            except RayError as error:
                self._end_without_result(attempt, error)
                self._tell(attempt.setup.trial_id)
            else:
                self._running[run] = replace(attempt, begun=time.monotonic())
        self._end_overdue()

    def _end_without_result(self, attempt: _Attempt, error: RayError) -> None:
        """Tries once more what may pass; what failed for good was written by its worker."""
        setup, folder = attempt.setup, self.shared.folder
        if is_full(error):
            self.is_full = True
        elif folder.result(setup.trial_id) is not None:
            return
        elif attempt.number <= self.search.max_failures:
            self._waiting.append(_Attempt(setup, attempt.number + 1))
        else:
            failure = failure_of(error, None, attempt.seconds())
            store_failed(folder, setup, failure)

    def _end_overdue(self) -> None:
        allowed = self.search.trial_timeout_s
        for run, attempt in list(self._running.items()):
            seconds = attempt.seconds()
            if allowed is None or seconds <= allowed:
                continue
            del self._running[run]
            ray.cancel(run, force=True)
            time.sleep(DYING_S)
            if self.shared.folder.result(attempt.setup.trial_id) is None:
                reason = f"took longer than the {allowed:g} s of search.trial_timeout_s"
                failure = Failure("distil", reason, seconds)
                store_failed(self.shared.folder, attempt.setup, failure)
            self._tell(attempt.setup.trial_id)

    def _tell(self, trial_id: str) -> None:
        result = self.shared.folder.result(trial_id)
        if result is not None:
            self.tell(result)

    def _share_out(self, missing: Sequence[TrialSetup]) -> None:
        """Gives every trial of one configuration the result of the one that was run."""
        folder = self.shared.folder
        done = self._by_configuration(folder.results())
        for setup in missing:
            source = done.get(self._key(setup))
            if source is not None and folder.result(setup.trial_id) is None:
                _write_again(folder, source, setup.trial_id)

    def _by_configuration(self, results: Sequence[TrialResult]) -> dict[str, TrialResult]:
        folder = self.shared.folder
        return {self._key(load_setup(folder, one.trial_id)): one for one in results}

    def _key(self, setup: TrialSetup) -> str:
        shared = self.shared
        return repr(trial_config(setup.sections, shared.evaluation, shared.selection_metric))


@ray.remote  # type: ignore[untyped-decorator]  # ray has no types
def _stored(setup: TrialSetup, shared: Shared) -> Iterator[None]:
    yield  # it has its slot
    run_stored(setup, shared, lambda report: None)


def _write_again(folder: SweepFolder, source: TrialResult, trial_id: str) -> None:
    there = folder.trial(source.trial_id)
    files: dict[str, Callable[[Path], object]] = {
        name: partial(shutil.copyfile, there / name)
        for name in ("config.yaml", "predictions.npz")
        if (there / name).exists()
    }
    result = replace(source, trial_id=trial_id)
    write_trial(folder, result, folder.epochs(source.trial_id), files)
