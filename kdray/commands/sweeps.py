"""`kdray sweep` and `kdray resume`."""

import shlex
from typing import TYPE_CHECKING

from rich.console import Console

from kdray.commands.fronts import front_document, show_front
from kdray.commands.resuming import Asked, changes, going_on
from kdray.commands.speaking import ALOUD, Voice, print_json
from kdray.errors import StoppedError
from kdray.locations import check_writable, past_config, sweep_folder
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

    console = voice.progress()
    with shown_on(console), during("starting Ray"), preloading("kdray.sweep.run"):
        started = start_ray(address)
    from kdray.sweep.opening import Launch
    from kdray.sweep.run import run_sweep

    ended = run_sweep(config, folder, Launch(command, address, ends_ray=started), console)
    if voice.as_json:
        print_json({**front_document(folder), "complete": ended.complete})
    show_end(ended, folder, voice.result())


def resume_sweep(
    folder: str, asked: Asked, address: str | None = None, voice: Voice = ALOUD
) -> None:
    """Goes on with a sweep where it was cut off, and says what is not as before.

    Args:
        folder: Its folder.
        asked: What is to be otherwise.
        address: A Ray cluster's address.
        voice: How to speak.

    Raises:
        ConfigError: If the folder holds no sweep, its file has changed in what may not, or what is
            asked for may not change or is wrong.
    """
    target = sweep_folder(folder, writable=True)
    config = going_on(target, asked)
    if changed := changes(past_config(target), config):
        voice.progress().print(f"changed: {changed}", highlight=False, markup=False, soft_wrap=True)
    launch_sweep(config, target, "", address, voice)


def show_end(ended: "Swept", folder: SweepFolder, console: Console) -> None:
    """Prints the front, and how to go on with a sweep that is not at its end.

    Raises:
        StoppedError: If someone stopped it; not if its time was over, as was asked for.
    """
    show_front(folder, console)
    if ended.unrecorded:
        Console(stderr=True).print(
            f"warning: MLflow could not record all of it: {ended.unrecorded}", soft_wrap=True
        )
    if ended.complete:
        return
    go_on = f"go on with `kdray resume {shlex.quote(folder.address)}`"
    if not ended.out_of_time:
        raise StoppedError(f"stopped before the end; {go_on}")
    told = f"search.time_budget_s is over: {ended.done} of {ended.trials} trials are done; {go_on}"
    console.print(told, soft_wrap=True, highlight=False, markup=False)
