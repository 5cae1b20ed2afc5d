"""A sweep from beginning to end: prepare, search, track, report."""

import json
import logging
import os
import signal
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray
from ray import tune
from rich.console import Console

from kdray import __version__
from kdray.config.drawing import flatten
from kdray.errors import ConfigError, Problem, SweepError
from kdray.evaluation.metrics import selection_metric
from kdray.preparation import read_data
from kdray.reporting.report import write_report
from kdray.reporting.summary import write_tables
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig
from kdray.sweep.bookkeeping import Bookkeeping, drop_dominated
from kdray.sweep.preparing import prepare_on_cluster
from kdray.sweep.progress import Progress
from kdray.sweep.provenance import write_provenance
from kdray.sweep.resources import Slot, choose_slot
from kdray.sweep.search import StudySearch, begin, mark_cut_off, open_study
from kdray.sweep.trainable import Shared, sweep_trial
from kdray.tracking.record import SweepRecord


@dataclass(frozen=True)
class Launch:
    """How a sweep is started.

    Attributes:
        command: The command line, to be written down.
        address: A Ray cluster's address; None starts Ray on this machine.
    """

    command: str
    address: str | None = None


@dataclass(frozen=True)
class Swept:
    """How a sweep ended.

    Attributes:
        summary: What is in `summary.json`.
        complete: Whether all trials are done, or the time budget is used up; not after Ctrl-C.
        unrecorded: Why MLflow could not record all of it; None if it could.
    """

    summary: dict[str, Any]
    complete: bool
    unrecorded: str | None = None


def run_sweep(config: SweepConfig, folder: SweepFolder, launch: Launch, console: Console) -> Swept:
    """Runs a sweep, or goes on with one that was cut off, and writes its report.

    Args:
        config: The search space.
        folder: The sweep's folder. What is finished there is not done again.
        launch: How it is started.
        console: Where progress is shown.

    Returns:
        Whether it came to its end, and what is in `summary.json`.

    Raises:
        ConfigError: If data, teacher and space do not fit each other; nothing is written then.
        TeacherError: If the teacher is not good enough; nothing is written then.
        SweepError: If no trial completed.
    """
    start, before = time.monotonic(), _earlier_seconds(folder)
    if not folder.verification_json.exists():
        read_data(config)
    start_ray(launch.address)
    slot = choose_slot(config.resources, ray.cluster_resources())
    say = partial(console.print, soft_wrap=True, highlight=False)
    prepared = prepare_on_cluster(config, folder, min(1.0, slot.gpus), say)
    write_provenance(config, folder, launch.command)
    record = SweepRecord(folder, config.tracking.uri, config.tracking.experiment)
    record.open({"kdray": __version__, **flatten(dict(config.content))})
    study = open_study(config, folder, config.seed + len(folder.results()))
    trials = begin(study, config, folder)
    shared = Shared(
        prepared,
        folder.root,
        config.evaluation,
        selection_metric(config.objectives),
        slot.threads,
        config.search.keep != "none",
    )
    with Progress(console, config.objectives, trials, folder.results()) as progress:
        books = Bookkeeping(config, folder, record, progress, slot.threads)
        left = trials - len(folder.results())
        out_of_time = search(StudySearch(study, config, folder), shared, slot, books, left)
    mark_cut_off(study, config, folder)
    complete = out_of_time or len(folder.results()) >= trials
    summary = finish(config, folder, record, before + time.monotonic() - start, complete)
    return Swept(summary, complete, record.failure)


def search(
    searcher: StudySearch, shared: Shared, slot: Slot, books: Bookkeeping, trials: int
) -> bool:
    """Runs trials until they are done, the time is over, or Ctrl-C; returns if time was over."""
    if trials <= 0:
        return False
    quiet_ray()
    start, budget = time.monotonic(), searcher.config.search.time_budget_s
    handler = signal.getsignal(signal.SIGINT)
    with tempfile.TemporaryDirectory(prefix="kdray-tune-") as scratch:
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(sweep_trial, shared=shared),
                {"cpu": slot.cpus, "gpu": slot.gpus},
            ),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                num_samples=trials,
                max_concurrent_trials=slot.concurrent,
                reuse_actors=True,
                time_budget_s=budget,
            ),
            run_config=tune.RunConfig(
                name=searcher.folder.name, storage_path=scratch, verbose=0, callbacks=[books]
            ),
        )
        try:
            tuner.fit()
        finally:
            signal.signal(signal.SIGINT, handler)
    return budget is not None and time.monotonic() - start >= budget


def finish(
    config: SweepConfig, folder: SweepFolder, record: SweepRecord, seconds: float, complete: bool
) -> dict[str, Any]:
    """Writes tables and report, closes the record, and returns the summary.

    Raises:
        SweepError: If no trial completed.
    """
    results = {result.trial_id: result for result in folder.results()}
    drop_dominated(config, folder, results)
    busy = sum(result.duration_s for result in results.values())
    summary = write_tables(folder, duration_s=seconds, busy_s=busy, run_ids=record.flush())
    write_report(folder)
    record.finish(summary, complete)
    if results and not summary["front"]:
        reasons = sorted({f"{r.stage}: {r.error}" for r in results.values() if r.error})
        raise SweepError("every trial failed:\n" + "\n".join(f"  {reason}" for reason in reasons))
    if complete and not results:
        raise SweepError(
            "search.time_budget_s ended before any trial did; give more and go on with "
            f"`kdray resume {folder.root}`"
        )
    return summary


def start_ray(address: str | None) -> None:
    """Connects to a cluster, or starts Ray on this machine, quietly.

    Raises:
        ConfigError: If there is no cluster at the address.
    """
    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    variables = {"OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false"}
    local: dict[str, Any] = {} if address else {"include_dashboard": False}
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": variables},
            **local,
        )
    except (ConnectionError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            [Problem("--address", f"no Ray cluster at {address!r}: {reason}")]
        ) from None


def quiet_ray() -> None:
    """Keeps Ray Tune's tables, loggers and warnings out of the terminal; kdray has its own.

    Reports need not hold the objectives: Optuna is told what is on disk (see `StudySearch`).
    """
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["TUNE_DISABLE_STRICT_METRIC_CHECKING"] = "1"
    logging.getLogger("ray").setLevel(logging.CRITICAL)


def _earlier_seconds(folder: SweepFolder) -> float:
    if not folder.summary_json.exists():
        return 0.0
    return float(json.loads(folder.summary_json.read_text(encoding="utf-8"))["duration_s"])
