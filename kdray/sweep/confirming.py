"""Confirmations: each student of the front once more, with other seeds.

The best of many noisy trials is often only lucky; a value that was not picked is honest. The
teacher stays as it is, and its outputs are those of the sweep.
"""

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from kdray.distillation.regimes import Mutual
from kdray.errors import SweepError
from kdray.evaluation.metrics import selection_metric
from kdray.reporting.confirmation import SEED, confirmation_id
from kdray.reporting.summary import front_ids
from kdray.results.folder import SweepFolder
from kdray.results.records import TrialResult
from kdray.schema import SweepConfig, trial_config
from kdray.sweep.beside import Queue
from kdray.sweep.lock import held
from kdray.sweep.opening import enter, sayer
from kdray.sweep.preparing import prepare_sweep
from kdray.sweep.resources import alive_nodes, choose_slot
from kdray.sweep.trainable import Shared
from kdray.sweep.tuning import stopped_alike
from kdray.trial_folder import TrialSetup, load_setup


def missing_runs(config: SweepConfig, folder: SweepFolder, seeds: int) -> list[TrialSetup]:
    """Returns what is left to do of the front's students, each with so many other seeds.

    What is not on disk, and what failed: it may have been the machine.
    """
    front = front_ids(folder.results(), config.objectives, config.constraints)
    wanted = [
        with_seed(setup, seed)
        for setup in (load_setup(folder, trial_id) for trial_id in front)
        for seed in other_seeds(config, setup, seeds)
    ]
    return [setup for setup in wanted if _is_open(folder.confirmations.result(setup.trial_id))]


def _is_open(result: TrialResult | None) -> bool:
    return result is None or result.status == "failed"


def run_missing(
    config: SweepConfig,
    folder: SweepFolder,
    missing: list[TrialSetup],
    address: str | None,
    console: Console,
) -> bool:
    """Runs confirmations in Ray tasks, on the slots of trials.

    Args:
        config: The sweep.
        folder: Its folder.
        missing: What `missing_runs` returned.
        address: A Ray cluster's address; None starts Ray on this machine.
        console: Where progress is shown.

    Returns:
        Whether nobody has stopped it; if not, another time goes on with it.

    Raises:
        ConfigError: If the data are not those of before, the cluster cannot be joined or is too
            small, or another process is at the sweep.
        SweepError: If a disk is full.
    """
    slot = enter(config, folder, address) or choose_slot(config.resources, alive_nodes())
    with held(folder.optuna_log), _shown(console, len(missing)) as tell:
        gpus = min(1.0, slot.gpus)
        prepared = prepare_sweep(config, folder, address, gpus, sayer(console))
        _forget_failed(config, folder, missing)
        shared = Shared.of(config, folder.confirmations, prepared.reference, slot.threads)
        queue = Queue(config.search, replace(shared, keep_weights=False, rungs=None), slot, tell)
        try:
            with stopped_alike():
                queue.work_through([replace(one, threads=slot.threads) for one in missing])
        except KeyboardInterrupt:
            return False
        with suppress(OSError):  # what a stopped sweep goes on from is in it
            (folder.root / "checkpoints").rmdir()
    if queue.is_full:
        raise SweepError(
            f"no space is left on the disk of {folder.root}; what is finished is kept; make room "
            f"and go on with `kdray confirm {shlex.quote(folder.address)}`"
        )
    return True


def _forget_failed(config: SweepConfig, folder: SweepFolder, missing: list[TrialSetup]) -> None:
    """Deletes the failures of what is run again; it is missing then, also if this is killed.

    Those of trials that have left the front go too: the queue takes any result of a configuration
    for all trials of it.
    """
    again = {setup.trial_id for setup in missing}
    front = front_ids(folder.results(), config.objectives, config.constraints)
    for result in folder.confirmations.results():
        trial_id = result.trial_id.rpartition(SEED)[0]
        if result.status == "failed" and (result.trial_id in again or trial_id not in front):
            place = folder.confirmations.trial(result.trial_id)
            (place / "result.json").unlink()  # first: half a folder without it is no result
            folder.remove(place)


def other_seeds(config: SweepConfig, setup: TrialSetup, wanted: int) -> list[int]:
    """Returns the first seeds from 1 on that share no random numbers with a trial or each other.

    With more wanted, the first stay the same. Students that learn side by side take the numbers
    after `training.seed` too, so theirs are that far apart.
    """
    trial = trial_config(setup.sections, config.evaluation, selection_metric(config.objectives))
    apart = trial.regime.students if isinstance(trial.regime, Mutual) else 1
    free = _free(trial.training.seed, apart)
    return [next(free) for _ in range(wanted)]


def with_seed(setup: TrialSetup, seed: int) -> TrialSetup:
    """Returns a trial with another seed, under an id of its own."""
    return replace(
        setup,
        trial_id=confirmation_id(setup.trial_id, seed),
        sections={**setup.sections, "training": {**setup.sections["training"], "seed": seed}},
        parameters={**setup.parameters, "training.seed": seed},
    )


def _free(own: int, apart: int) -> Iterator[int]:
    seed = 1
    while True:
        if abs(seed - own) < apart:
            seed = own + apart
        yield seed
        seed += apart


@contextmanager
def _shown(console: Console, runs: int) -> Iterator[Callable[[TrialResult], None]]:
    """Shows a line for each run that ended, and in a terminal a bar."""
    columns = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    quiet = not console.is_terminal
    with Progress(*columns, console=console, disable=quiet, transient=True) as bar:
        task = bar.add_task("confirmations", total=runs)

        def tell(result: TrialResult) -> None:
            bar.advance(task)
            head = f"\\[{bar.tasks[0].completed:g}/{runs}] {result.trial_id} {result.status}"
            reason = f" ({result.stage}: {result.error})" if result.error else ""
            seconds = f" in {result.duration_s:.0f} s"
            console.print(f"{head}{escape(reason)}{seconds}", highlight=False, soft_wrap=True)

        yield tell
