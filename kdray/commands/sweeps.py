"""`kdray sweep` and `kdray resume`."""

import shlex
from typing import TYPE_CHECKING

from rich.console import Console

from kdray.changes import check_unchanged
from kdray.commands.fronts import front_document, show_front
from kdray.commands.speaking import ALOUD, Voice, print_json
from kdray.errors import StoppedError
from kdray.locations import check_writable, past_config, sweep_folder
from kdray.reporting.reading import read_sweep
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig
from kdray.waiting import during, shown_on

if TYPE_CHECKING:
    from kdray.sweep.run import Swept


def launch_sweep(
    config: SweepConfig,
    folder: SweepFolder,
    command: str,
    address: str | None,
    voice: Voice = ALOUD,
) -> None:
    """Runs a sweep, or goes on with the one in its folder, and prints its front."""
    from kdray.sweep.joining import make_ready

    check_writable(folder)
    make_ready(address)
    from kdray.sweep.starting import preloading, start_ray

    here = [] if address else ["transformers.modeling_utils"]
    console = voice.progress()
    with shown_on(console), during("starting Ray"), preloading("kdray.sweep.run", *here):
        start_ray(address)
    from kdray.sweep.opening import Launch
    from kdray.sweep.run import run_sweep

    ended = run_sweep(config, folder, Launch(command, address), console)
    if voice.as_json:
        print_json({**front_document(folder), "complete": ended.complete})
    show_end(ended, folder, voice.result())


def resume_sweep(
    folder: str,
    trials: int | None,
    address: str | None,
    as_begun: bool = False,
    voice: Voice = ALOUD,
) -> None:
    """Goes on with a sweep where it was cut off.

    Args:
        folder: Its folder.
        trials: Trials in all, if others than before.
        address: A Ray cluster's address.
        as_begun: Whether the search-space file may have changed since; the sweep goes on as begun.
        voice: How to speak.

    Raises:
        ConfigError: If the folder holds no sweep, or its file has changed.
    """
    more = [f"search.trials={trials}"] if trials is not None else []
    target = sweep_folder(folder, writable=True)
    config = past_config(target, more)
    if not as_begun:
        check_unchanged(config, read_sweep(target).get("source") or {})
    launch_sweep(config, target, "", address, voice)


def show_end(ended: "Swept", folder: SweepFolder, console: Console) -> None:
    """Prints the front, and how to go on with a sweep that was cut off.

    Raises:
        StoppedError: If it was cut off.
    """
    show_front(folder, console)
    if ended.unrecorded:
        Console(stderr=True).print(
            f"warning: MLflow could not record all of it: {ended.unrecorded}", soft_wrap=True
        )
    if not ended.complete:
        raise StoppedError(
            f"stopped before the end; go on with `kdray resume {shlex.quote(folder.address)}`"
        )
