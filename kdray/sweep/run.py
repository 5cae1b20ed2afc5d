"""A sweep from beginning to end: prepare, search, track, report."""

import json
import shlex
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from kdray.errors import SweepError
from kdray.evaluation.metrics import fixed_bounds
from kdray.reading import read_data
from kdray.reporting.summary import Ended, write_tables
from kdray.results.feasibility import Bounds, is_feasible
from kdray.results.folder import SweepFolder
from kdray.results.records import TrialResult
from kdray.schema import SweepConfig
from kdray.sweep.baselines import run_baselines
from kdray.sweep.bookkeeping import Bookkeeping, drop_dominated
from kdray.sweep.calibration import measured_slot
from kdray.sweep.failures import has_no_space, is_full
from kdray.sweep.lock import held
from kdray.sweep.opening import Launch, OpenSweep, enter, open_sweep
from kdray.sweep.progress import Progress
from kdray.sweep.promotion import make_search
from kdray.sweep.provenance import write_provenance
from kdray.sweep.reconciling import mark_cut_off
from kdray.sweep.resources import Slot, alive_nodes, choose_slot, growing
from kdray.sweep.schedulers.rivals import rivals_of
from kdray.sweep.search import StudySearch
from kdray.sweep.starting import is_joined
from kdray.sweep.tuning import tune_trials
from kdray.tracking.record import SweepRecord
from kdray.waiting import during, shown_on


@dataclass(frozen=True)
class Swept:
    """How a sweep ended.

    Attributes:
        summary: What is in `summary.json`.
        complete: Whether all trials are done.
        unrecorded: Why MLflow could not record all of it; None if it could.
        trials: How many the sweep has.
        out_of_time: Whether they are not done because the time budget is used up.
    """

    summary: dict[str, Any]
    complete: bool
    unrecorded: str | None = None
    trials: int = 0
    out_of_time: bool = False

    @property
    def done(self) -> int:
        """Trials that are at their end, whichever."""
        return sum(self.summary["trials"].values())


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
        ConfigError: If data, teacher and space do not fit each other, or a node does not see the
            folder; nothing is written then.
        TeacherError: If the teacher is not good enough; nothing is written then.
        SweepError: If no trial completed, the first all failed for one reason, or a disk is full.
    """
    try:
        return _run_sweep(config, folder, launch, console)
    except Exception as error:
        # A little room may be left where what is to be written is large.
        if is_full(error) or has_no_space(folder.root):
            raise SweepError(_full(folder)) from error
        raise


def _run_sweep(config: SweepConfig, folder: SweepFolder, launch: Launch, console: Console) -> Swept:
    earlier, finished = _earlier_seconds(folder), _finished(folder)
    start = time.monotonic() - earlier
    if not folder.verification_json.exists():
        with shown_on(console):
            read_data(config)
    past = enter(config, folder, launch.address)
    slot = past or choose_slot(config.resources, alive_nodes())
    folder.root.mkdir(parents=True, exist_ok=True)
    with held(folder.optuna_log):
        opened = open_sweep(config, folder, launch, slot, console)
        if past is None:
            slot = _measured(opened, launch, slot)
        begun = time.monotonic()
        searcher, complete = _search(opened, launch, slot)
        late = searcher.budget.ended and not complete
        if complete and not searcher.halted and config.evaluation.baselines:
            # What is known so far, should the baselines take long or be cut off.
            tabulate(folder, opened.record, time.monotonic() - start, {"complete": False})
            with shown_on(console):
                shared = opened.shared(slot.threads)
                complete = run_baselines(config, shared, slot, begun, opened.say)
        ended: Ended = {"complete": complete, **({"out_of_time": True} if late else {})}
        # Opening a sweep that is done is no work on it.
        is_new = not complete or not earlier or _finished(folder) != finished
        seconds = time.monotonic() - start if is_new else earlier
        with shown_on(console), during("writing the report"), ThreadPoolExecutor(1) as beside:
            closed = beside.submit(opened.close, launch.ends_ray)
            summary = finish(config, folder, opened.record, seconds, ended)
    if searcher.halted:
        raise SweepError(f"{searcher.halted}; when that is mended, {_go_on(folder)}")
    if changed := closed.result():
        raise changed
    _check_fruits(config, folder, summary, late)
    return Swept(summary, complete, opened.record.failure, opened.trials, late)


def _measured(opened: OpenSweep, launch: Launch, slot: Slot) -> Slot:
    """Returns the slot that is the fastest here, where the sweep leaves it open, written down."""
    config, folder = opened.config, opened.folder
    with shown_on(opened.console):
        slot = measured_slot(config, slot, opened.prepared, opened.trials, opened.say)
    write_provenance(config, folder, launch.command, slot)
    return slot


def _search(opened: OpenSweep, launch: Launch, slot: Slot) -> tuple[StudySearch, bool]:
    """Runs the trials that are left; returns the search, and whether it came to its end."""
    config, folder = opened.config, opened.folder
    done, shared = folder.results(), opened.shared(slot.threads)
    slot = growing(slot, config.resources) if is_joined(launch.address) else slot
    left, rivals = opened.trials - len(done), rivals_of(config, folder, opened.trials)
    searcher = make_search(opened.study, config, folder, rivals, left)
    objectives, constraints = config.objectives, config.constraints
    with Progress(opened.console, objectives, opened.trials, done, constraints) as progress:
        books = Bookkeeping(searcher, opened.record, progress, slot.threads)
        tune_trials(searcher, shared, slot, books, rivals)
    mark_cut_off(opened.study, config, folder)
    return searcher, len(folder.results()) >= opened.trials and not searcher.waiting()


def finish(
    config: SweepConfig, folder: SweepFolder, record: SweepRecord, seconds: float, ended: Ended
) -> dict[str, Any]:
    """Writes tables and report, closes the record, and returns the summary."""
    if ended["complete"]:
        folder.remove(folder.root / "checkpoints")
    drop_dominated(config, folder, {result.trial_id: result for result in folder.results()})
    summary = tabulate(folder, record, seconds, ended)
    folder.fetch(*(folder.student(trial_id) for trial_id in summary["front"]))
    record.finish(summary, ended["complete"])
    folder.share(folder.root)
    return summary


def tabulate(
    folder: SweepFolder, record: SweepRecord, seconds: float, ended: Ended
) -> dict[str, Any]:
    """Writes tables and report, and returns the summary."""
    from kdray.reporting.report import write_report

    busy = sum(result.duration_s for result in folder.results())
    runs = record.flush()
    summary = write_tables(folder, duration_s=seconds, busy_s=busy, run_ids=runs, ended=ended)
    write_report(folder)
    return summary


def _check_fruits(
    config: SweepConfig, folder: SweepFolder, summary: dict[str, Any], out_of_time: bool
) -> None:
    """Raises a SweepError if no trial completed."""
    results = folder.results()
    infeasible = config.constraints and summary["trials"]["completed"]
    if results and not summary["front"] and not infeasible:
        more = f"\n  search.time_budget_s ended before the others did; {_go_on(folder)}"
        raise SweepError(_no_student(results, config.constraints) + more * out_of_time)
    if out_of_time and not results:
        raise SweepError(
            f"search.time_budget_s ended before any trial did; give more and {_go_on(folder)}"
        )


def _full(folder: SweepFolder) -> str:
    return (
        f"no space is left on the disk of {folder.root}; what is finished is kept; "
        f"make room and {_go_on(folder)}"
    )


def _go_on(folder: SweepFolder) -> str:
    return f"go on with `kdray resume {shlex.quote(folder.address)}`"


def _no_student(results: Sequence[TrialResult], constraints: Bounds) -> str:
    """Returns why a sweep has nothing to show."""
    ended = [result for result in results if result.status == "stopped_early"]
    fixed = fixed_bounds(constraints)
    stopped = [result for result in ended if is_feasible(result.metrics, fixed)]
    too_large = len(ended) - len(stopped)
    reasons = sorted({f"{r.stage}: {r.error}" for r in results if r.error})
    if stopped:
        reasons.append(
            f"search.scheduler stopped {len(stopped)} of {len(results)} early, because after the "
            "epochs that it gives them they were no better than a constant answer or the others; "
            "give more (first_rung, grace_epochs), or take `scheduler: fifo`"
        )
    if too_large:
        reasons.append(
            f"{too_large} of {len(results)} were stopped: their size breaks `constraints`"
        )
    head = "no trial completed" if ended else "every trial failed"
    return "\n  ".join([f"{head}:", *reasons])


def _finished(folder: SweepFolder) -> int:
    return sum(1 for kind in (folder, folder.baselines) for _ in kind.results())


def _earlier_seconds(folder: SweepFolder) -> float:
    if not folder.summary_json.exists():
        return 0.0
    return float(json.loads(folder.summary_json.read_text(encoding="utf-8"))["duration_s"])
