"""Label-only baselines: each student of the front once more, without its teacher.

Same shape, pruning, training and seed, so the difference is the teacher's doing. They are no
trials: the search does not know them, and they lie in `baselines/` under the ids of their trials.
"""

import shutil
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import ray
from ray.exceptions import RayError

from kdray.reporting.summary import front_ids
from kdray.results.folder import SweepFolder, write_trial
from kdray.results.records import TrialResult
from kdray.schema import DEFAULTS, SweepConfig, options_taken, trial_config
from kdray.sweep.failures import failure_of, is_full
from kdray.sweep.resources import Slot
from kdray.sweep.trainable import Shared, run_stored
from kdray.sweep.tuning import stopped_alike
from kdray.sweep.watchdog import DYING_S
from kdray.trial_folder import Failure, TrialSetup, load_setup, store_failed
from kdray.waiting import progress

# Seconds between two looks at the clock.
LOOK_S = 1.0


def run_baselines(
    config: SweepConfig, shared: Shared, slot: Slot, begun: float, say: Callable[[str], None]
) -> bool:
    """Runs what is missing beside the front, one run for each distinct configuration.

    Nothing that happens to a baseline ends the sweep: one that fails is on disk with its reason.

    Args:
        config: The sweep.
        shared: What every trial gets.
        slot: Resources of a trial, and how many run side by side at most.
        begun: When the search began, in seconds of `time.monotonic`; `search.time_budget_s` counts
            from there.
        say: Takes a line about what is done.

    Returns:
        Whether nobody has stopped it; if not, a resume goes on with it.
    """
    missing = _missing(config, shared) if config.evaluation.baselines else []
    if not missing:
        return True
    baselines = replace(shared, folder=shared.folder.baselines, keep_weights=False)
    budget = config.search.time_budget_s
    queue = _Queue(config, baselines, slot, None if budget is None else begun + budget, say)
    if queue.is_late():
        say("baselines: none, as search.time_budget_s is over")
        return True
    count = f"{len(missing)} student{'s' * (len(missing) != 1)} of the front"
    say(f"baselines: {count} once more, from labels alone")
    try:
        with stopped_alike():
            queue.work_through(missing)
    except KeyboardInterrupt:
        return False
    return True


def twin(setup: TrialSetup) -> TrialSetup | None:
    """Returns a trial without its teacher, in one generation; None for one that has none."""
    own = setup.sections["distillation"]
    taken = options_taken("distillation", "none") or frozenset()
    if own["method"] == "none":
        return None
    alone = {key: value for key, value in own.items() if key in taken} | {"method": "none"}
    taught = ("distillation.", "regime.")
    parameters = {k: v for k, v in setup.parameters.items() if not k.startswith(taught)}
    return replace(
        setup,
        sections={**setup.sections, "distillation": alone, "regime": DEFAULTS["regime"]},
        parameters=parameters | {"distillation.method": "none"},
    )


def _missing(config: SweepConfig, shared: Shared) -> list[TrialSetup]:
    folder = shared.folder
    front = front_ids(folder.results(), config.objectives, config.constraints)
    wanted = [i for i in front if folder.baselines.result(i) is None]
    twins = [twin(load_setup(folder, trial_id)) for trial_id in wanted]
    return [replace(one, threads=shared.threads) for one in twins if one is not None]


@dataclass(frozen=True)
class _Attempt:
    """One run of a baseline in a worker, the how-manieth, and when it was begun."""

    setup: TrialSetup
    number: int
    begun: float


@dataclass
class _Queue:
    config: SweepConfig
    shared: Shared
    slot: Slot
    deadline: float | None
    say: Callable[[str], None]

    def __post_init__(self) -> None:
        self._waiting: deque[tuple[TrialSetup, int]] = deque()
        self._running: dict[ray.ObjectRef, _Attempt] = {}
        self._full = False

    def is_late(self) -> bool:
        """Returns whether the time budget is over."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def work_through(self, missing: Sequence[TrialSetup]) -> None:
        """Runs baselines until they are done, the time is over, or the disk is full."""
        done = self._by_configuration(self.shared.folder.results())
        first: dict[str, TrialSetup] = {}
        for setup in missing:
            first.setdefault(self._key(setup), setup)
        self._waiting.extend((one, 1) for key, one in first.items() if key not in done)
        total = len(self._waiting)
        try:
            while (self._waiting or self._running) and not self.is_late() and not self._full:
                self._begin()
                self._look()
                left = len(self._waiting) + len(self._running)
                progress("baselines", total - left, total)
        finally:
            for reference in self._running:
                ray.cancel(reference, force=True)
        self._share_out(missing)
        if self.is_late() and (self._waiting or self._running):
            self.say("baselines: the rest is left out, as search.time_budget_s is over")

    def _begin(self) -> None:
        task = _baseline.options(num_cpus=self.slot.cpus, num_gpus=self.slot.gpus, max_retries=0)
        while self._waiting and len(self._running) < self.slot.concurrent:
            setup, number = self._waiting.popleft()
            attempt = _Attempt(setup, number, time.monotonic())
            self._running[task.remote(setup, self.shared)] = attempt

    def _look(self) -> None:
        ended, _ = ray.wait(list(self._running), timeout=LOOK_S)
        for reference in ended:
            attempt = self._running.pop(reference)
            try:
                ray.get(reference)
            except RayError as error:
                self._end_without_result(attempt, error)
            self._tell(attempt.setup.trial_id)
        self._end_overdue()

    def _end_without_result(self, attempt: _Attempt, error: RayError) -> None:
        """Tries once more what may pass; what failed for good was written by its worker."""
        setup, folder = attempt.setup, self.shared.folder
        if is_full(error):
            self._full = True
        elif folder.result(setup.trial_id) is not None:
            return
        elif attempt.number <= self.config.search.max_failures:
            self._waiting.append((setup, attempt.number + 1))
        else:
            failure = failure_of(error, None, time.monotonic() - attempt.begun)
            store_failed(folder, setup, failure)

    def _end_overdue(self) -> None:
        allowed = self.config.search.trial_timeout_s
        for reference, attempt in list(self._running.items()):
            seconds = time.monotonic() - attempt.begun
            if allowed is None or seconds <= allowed:
                continue
            del self._running[reference]
            ray.cancel(reference, force=True)
            time.sleep(DYING_S)
            if self.shared.folder.result(attempt.setup.trial_id) is None:
                reason = f"took longer than the {allowed:g} s of search.trial_timeout_s"
                failure = Failure("distil", reason, seconds)
                store_failed(self.shared.folder, attempt.setup, failure)
            self._tell(attempt.setup.trial_id)

    def _tell(self, trial_id: str) -> None:
        result = self.shared.folder.result(trial_id)
        if result is None:
            return
        metric = self.shared.selection_metric
        how = f"failed: {result.stage}: {result.error}"
        if result.status == "completed":
            how = f"{metric} {result.metrics[metric]:.3f} without the teacher"
        self.say(f"baseline of trial {trial_id}: {how}")

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
def _baseline(setup: TrialSetup, shared: Shared) -> None:
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
