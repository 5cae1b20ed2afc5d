"""The watchdog: ends trials that take too long, whatever they are stuck in.

Tune's own stoppers act when a trial reports, which one that is stuck never does.
"""

import time
from typing import Any

import ray
from ray.tune import Callback

from kdray.results.folder import SweepFolder
from kdray.sweep.not_pickled import NotPickled
from kdray.trial_folder import Failure, drawn_setup, store_failed

# A worker that is just writing a result is given time to be gone before its failure is written.
DYING_S = 0.5


class Watchdog(NotPickled, Callback):  # type: ignore[misc]  # ray has no types
    """Kills the worker of a trial that takes longer than it may; the trial is failed.

    The failure is on disk before Ray hears of the worker's death, so that the trial ends at once
    when Ray tries it again.

    Args:
        timeout_s: Seconds that a trial may take from its beginning; a new beginning counts anew.
        folder: The sweep's folder.
        threads: Torch threads of a trial.
    """

    def __init__(self, timeout_s: float, folder: SweepFolder, threads: int) -> None:
        self._timeout_s = timeout_s
        self._folder = folder
        self._threads = threads
        self._begun: dict[str, tuple[Any, float]] = {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Starts the clock."""
        self._begun[trial.config["trial_id"]] = (trial, time.monotonic())

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Stops the clock of a trial that is to be tried again, and may wait for a slot."""
        self._begun.pop(trial.config["trial_id"], None)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Stops the clock."""
        self._begun.pop(trial.config["trial_id"], None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Stops the clock."""
        self._begun.pop(trial.config["trial_id"], None)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Ends every trial whose time is over."""
        now = time.monotonic()
        for trial_id, (trial, begun) in list(self._begun.items()):
            if now - begun > self._timeout_s:
                del self._begun[trial_id]
                self._end(trial)

    def _end(self, trial: Any) -> None:
        actor = trial.temporary_state.ray_actor
        if actor is not None:
            ray.kill(actor)
            time.sleep(DYING_S)
        if self._folder.result(trial.config["trial_id"]) is None:
            reason = f"took longer than the {self._timeout_s:g} s of search.trial_timeout_s"
            setup = drawn_setup(trial.config, self._threads)
            store_failed(self._folder, setup, Failure("distil", reason, self._timeout_s))
