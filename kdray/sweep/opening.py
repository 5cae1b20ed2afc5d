"""Opening a sweep: Ray is there, the teacher is prepared, study and record go on."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import optuna
import ray
from rich.console import Console

from kdray import __version__
from kdray.config.drawing import flatten
from kdray.errors import ConfigError, SweepError, TeacherError
from kdray.preparation import PreparedSweep
from kdray.reporting.reading import read_summary
from kdray.results.folder import SweepFolder, write_json
from kdray.schema import SweepConfig
from kdray.sweep.preparing import Prepared, prepare_sweep
from kdray.sweep.provenance import past_slot, write_provenance
from kdray.sweep.resources import Slot
from kdray.sweep.search import begin, open_study
from kdray.sweep.shared_folder import check_every_node_sees
from kdray.sweep.starting import is_joined, start_ray
from kdray.sweep.trainable import Shared
from kdray.sweep.warm_start import learn
from kdray.tracking.record import SweepRecord
from kdray.trial import check_teacher
from kdray.waiting import shown_on


@dataclass(frozen=True)
class Launch:
    """How a sweep is started.

    Attributes:
        command: The command line, to be written down.
        address: A Ray cluster's address; None starts Ray on this machine.
        ends_ray: Whether Ray is of no use to anyone when the trials are done.
    """

    command: str
    address: str | None = None
    ends_ray: bool = False


@dataclass(frozen=True)
class OpenSweep:
    """A sweep whose teacher is prepared, and whose study and record are open.

    Attributes:
        config: The sweep.
        folder: Its folder.
        prepared: The prepared sweep.
        study: Optuna's.
        trials: How many it has.
        record: MLflow's.
        console: Where progress is shown.
    """

    config: SweepConfig
    folder: SweepFolder
    prepared: Prepared
    study: optuna.Study
    trials: int
    record: SweepRecord
    console: Console

    def say(self, line: str) -> None:
        """Shows a line, as long as it is."""
        sayer(self.console)(line)

    def close(self, ends_ray: bool) -> SweepError | None:
        """Ends Ray, if wanted, when all that needs it is done.

        Returns:
            What there is to say if the teacher is no longer the one that was verified.
        """
        try:
            error = ray.get(_teacher_error.remote(self.prepared.reference))
        finally:
            if ends_ray:
                ray.shutdown()
        if error is None:
            return None
        return SweepError(f"{error}: something wrote to them during the sweep; begin it anew")

    def shared(self, threads: int) -> Shared:
        """Returns what every trial gets."""
        return Shared.of(self.config, self.folder, self.prepared.reference, threads)


@ray.remote(num_cpus=0)  # type: ignore[untyped-decorator]  # ray has no types
def _teacher_error(prepared: PreparedSweep) -> str | None:
    try:
        check_teacher(prepared)
    except RuntimeError as error:
        return str(error)
    return None


def sayer(console: Console) -> Callable[[str], None]:
    """Returns what shows a line, as long as it is, without colours of its own."""
    return partial(console.print, soft_wrap=True, highlight=False)


def enter(config: SweepConfig, folder: SweepFolder, address: str | None) -> Slot | None:
    """Starts or joins Ray; returns what each trial got before, None if that is to be chosen.

    Args:
        config: The search space.
        folder: The sweep's folder.
        address: A Ray cluster's address; None starts Ray on this machine.

    Raises:
        ConfigError: If the cluster cannot be joined, or one of its nodes does not see the folder.
    """
    start_ray(address)
    if is_joined(address) and "://" not in folder.address:
        check_every_node_sees(folder.root.parent)
    return past_slot(folder, config.resources)


def open_sweep(
    config: SweepConfig, folder: SweepFolder, launch: Launch, slot: Slot, console: Console
) -> OpenSweep:
    """Prepares the teacher, and opens study and record, or those of a sweep that goes on.

    Args:
        config: The search space.
        folder: The sweep's folder.
        launch: How it is started.
        slot: What each trial gets.
        console: Where progress is shown.

    Raises:
        ConfigError: If data, teacher and space do not fit each other; nothing is written then.
        TeacherError: If the teacher is not good enough; nothing is written then.
    """
    say = sayer(console)
    record = SweepRecord(folder, config.tracking.uri, config.tracking.experiment)
    with _begun(config, folder, launch, slot), shown_on(console), record.getting_ready():
        prepared = prepare_sweep(config, folder, launch.address, min(1.0, slot.gpus), say)
    _reopen(folder)
    folder.share(folder.root)
    study = open_study(config, folder, config.seed + len(folder.results()))
    learn(study, config, say)
    trials = begin(study, config, folder)
    record.open({"kdray": __version__, **flatten(dict(config.content))})
    return OpenSweep(config, folder, prepared, study, trials, record, console)


@contextmanager
def _begun(config: SweepConfig, folder: SweepFolder, launch: Launch, slot: Slot) -> Iterator[None]:
    """Writes what a sweep is, so that it can be resumed; not one that turns out to be wrong."""
    is_new = not folder.sweep_yaml.exists()
    write_provenance(config, folder, launch.command, slot)
    try:
        yield
    except (ConfigError, TeacherError):
        if is_new:
            shutil.rmtree(folder.root)
        raise


def _reopen(folder: SweepFolder) -> None:
    """Writes down that a sweep is not at its end, should it be killed before it is again."""
    if folder.summary_json.exists():
        before = {k: v for k, v in read_summary(folder).items() if k != "out_of_time"}
        write_json(folder.summary_json, before | {"complete": False})
