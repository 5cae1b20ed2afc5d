"""The one bridge from Ray Tune to `run_trial`."""

import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import ray
import torch
from ray import tune

from kdray.config.search import ParetoAsha
from kdray.config.sections import Evaluation
from kdray.errors import SweepError
from kdray.evaluation.metrics import selection_metric
from kdray.models.outputs import release_memory
from kdray.preparation import PreparedSweep
from kdray.results.folder import SweepFolder, share_trial
from kdray.results.records import EpochReport
from kdray.schema import SweepConfig, trial_config
from kdray.sweep.failures import may_pass
from kdray.sweep.schedulers.pareto_asha import is_rung
from kdray.training.checkpoint import kept_work
from kdray.training.course import Checkpoints, never
from kdray.trial import TrialError, run_trial
from kdray.trial_folder import Failure, TrialSetup, drawn_setup, store_failed, store_finished

Tell = Callable[[dict[str, Any]], object]

_PREPARED: dict[str, PreparedSweep] = {}


@dataclass(frozen=True)
class Shared:
    """What every trial of a sweep gets.

    Attributes:
        prepared: The prepared sweep in Ray's object store.
        folder: The sweep's folder.
        evaluation: How students are measured.
        selection_metric: The metric that selects the best epoch.
        threads: Torch threads of a trial.
        keep_weights: Whether the student is written.
        checkpoint_interval_s: Least time between two checkpoints of a trial.
        rungs: Where trials wait, and so have a checkpoint; None if they do not.
        deadline: When trials stop after their epoch, and so have a checkpoint, on the clock of
            `time.time`; None for never.
    """

    prepared: ray.ObjectRef
    folder: SweepFolder
    evaluation: Evaluation
    selection_metric: str
    threads: int
    keep_weights: bool
    checkpoint_interval_s: float
    rungs: ParetoAsha | None = None
    deadline: float | None = None

    @classmethod
    def of(
        cls, config: SweepConfig, folder: SweepFolder, prepared: ray.ObjectRef, threads: int
    ) -> Self:
        """Returns what every trial of a sweep gets."""
        scheduler = config.search.scheduler
        return cls(
            prepared,
            folder,
            config.evaluation,
            selection_metric(config.objectives),
            threads,
            config.search.keep != "none",
            config.search.checkpoint_interval_s,
            scheduler if isinstance(scheduler, ParetoAsha) else None,
        )


class _Pauses:
    """Tells after which epochs a trial may be made to wait: at rungs, and when the time is over.

    Args:
        shared: What every trial gets.

    Attributes:
        late: Whether the time was over after the last epoch that was asked for, not a trial's last.
    """

    def __init__(self, shared: Shared) -> None:
        self._deadline = math.inf if shared.deadline is None else shared.deadline
        self._at_rung = partial(is_rung, shared.rungs) if shared.rungs else never
        self.late = False

    def __call__(self, report: EpochReport) -> bool:
        self.late = report.epoch < report.epochs and time.time() >= self._deadline
        return self.late or self._at_rung(report)

    def may_move(self, report: EpochReport) -> bool:
        """Returns whether another machine may go on, as was said before of the same epoch."""
        return self.late or self._at_rung(report)


def sweep_trial(config: dict[str, Any], shared: Shared) -> None:
    """Runs one trial in a Ray worker; its result is on disk before Ray hears of it.

    A trial that Ray tries again, because its worker or node was lost, goes on from its last
    checkpoint, and is not done again if its result is there.

    Args:
        config: What `StudySearch.suggest` returned.
        shared: What every trial gets.

    Raises:
        TrialError: If the trial failed for what may pass; Ray tries it again. One that failed for
            good is on disk.
    """
    run_stored(drawn_setup(config, shared.threads), shared, tune.report)
    tune.report({"finished": True})


def run_stored(setup: TrialSetup, shared: Shared, tell: Tell) -> None:
    """Runs a trial in this process until its result is on disk, if it is not there already.

    Args:
        setup: What it is made from.
        shared: What every trial gets.
        tell: Takes what there is to say of each epoch.

    Raises:
        TrialError: See `sweep_trial`.
    """
    release_memory()  # of a trial before that was stopped in the midst of a step
    torch.set_num_threads(shared.threads)
    folder = shared.folder
    if folder.result(setup.trial_id) is not None:
        # An earlier attempt may have written it here and lost the object store before all saw it.
        share_trial(folder, setup.trial_id)
        return
    try:
        _run(setup, folder, shared, tell)
    finally:
        release_memory()


def _run(setup: TrialSetup, folder: SweepFolder, shared: Shared, tell: Tell) -> None:
    pauses = _Pauses(shared)
    kept = Checkpoints(folder.checkpoint(setup.trial_id), shared.checkpoint_interval_s, pauses)
    with _checkpoint_may_fail():
        folder.fetch(kept.folder)
    start, (reports, earlier_s) = time.perf_counter(), kept_work(kept)
    earlier = [report.to_json() for report in reports]

    def on_epoch(report: EpochReport) -> None:
        reports[report.epoch - 1 :] = [report]
        with _checkpoint_may_fail():
            folder.share(kept.folder)
            if pauses.may_move(report):
                folder.release(kept.folder)  # another machine may go on with it
        tell(
            {
                "epoch": report.epoch,
                "report": report.to_json(),
                "earlier": earlier,
                "duration_s": earlier_s + time.perf_counter() - start,
                "finished": False,
                "late": pauses.late,
            }
        )

    try:
        trial = trial_config(setup.sections, shared.evaluation, shared.selection_metric)
        finished = run_trial(trial, _prepared(shared), on_epoch, kept)
    except TrialError as error:
        if may_pass(error):
            raise
        failure = Failure(error.stage, error.reason, time.perf_counter() - start)
        store_failed(folder, setup, failure, reports)
        return
    store_finished(folder, setup, finished, shared.keep_weights)


@contextmanager
def _checkpoint_may_fail() -> Iterator[None]:
    """Warns where an object store stays away: a trial is done without its checkpoint too."""
    try:
        yield
    except SweepError as error:
        warnings.warn(f"no checkpoint could be copied: {error}", RuntimeWarning, stacklevel=3)


def _prepared(shared: Shared) -> PreparedSweep:
    """Returns the prepared sweep, fetched once for each worker and sweep."""
    key = shared.prepared.hex()
    if key not in _PREPARED:
        prepared: PreparedSweep = ray.get(shared.prepared)
        if any(one.plan.disk for one in prepared.all_outputs):
            shared.folder.fetch(shared.folder.teacher_outputs)
        _PREPARED.clear()
        _PREPARED[key] = prepared
    return _PREPARED[key]
