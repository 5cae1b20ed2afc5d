"""The one bridge from Ray Tune to `run_trial`."""

import time
from dataclasses import dataclass
from typing import Any

import ray
import torch
from ray import tune

from kdray.config.sections import Evaluation
from kdray.models.outputs import release_memory
from kdray.preparation import PreparedSweep
from kdray.results.folder import SweepFolder
from kdray.results.records import EpochReport
from kdray.schema import trial_config
from kdray.sweep.failures import may_pass
from kdray.training.checkpoint import kept_epochs
from kdray.training.course import Checkpoints
from kdray.trial import TrialError, run_trial
from kdray.trial_folder import Failure, TrialSetup, store_failed, store_finished

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
    """

    prepared: ray.ObjectRef
    folder: SweepFolder
    evaluation: Evaluation
    selection_metric: str
    threads: int
    keep_weights: bool
    checkpoint_interval_s: float


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
    torch.set_num_threads(shared.threads)
    folder = shared.folder
    setup = TrialSetup(config["trial_id"], config["sections"], config["parameters"], shared.threads)
    if folder.result(setup.trial_id) is None:
        try:
            _run(setup, folder, shared)
        finally:
            release_memory()
    tune.report({"finished": True})


def _run(setup: TrialSetup, folder: SweepFolder, shared: Shared) -> None:
    kept = Checkpoints(folder.checkpoint(setup.trial_id), shared.checkpoint_interval_s)
    folder.fetch(kept.folder)
    start, reports = time.perf_counter(), kept_epochs(kept)

    def on_epoch(report: EpochReport) -> None:
        reports.append(report)
        folder.share(kept.folder)
        tune.report(
            {
                "epoch": report.epoch,
                "report": report.to_json(),
                "duration_s": time.perf_counter() - start,
                "finished": False,
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


def _prepared(shared: Shared) -> PreparedSweep:
    """Returns the prepared sweep, fetched once for each worker and sweep."""
    key = shared.prepared.hex()
    if key not in _PREPARED:
        _PREPARED.clear()
        _PREPARED[key] = ray.get(shared.prepared)
        if _PREPARED[key].outputs.plan.disk:
            shared.folder.fetch(shared.folder.teacher_outputs)
    return _PREPARED[key]
