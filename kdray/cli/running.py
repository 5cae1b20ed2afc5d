"""The commands that run something: sweep, submit, resume, confirm, trial."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from kdray.cli.app import AsJson, Assignments, Folder, Quiet, Space, app
from kdray.sweep.forking import warm_up


@app.command()
def sweep(
    space: Space,
    profile: Annotated[Path | None, typer.Option(help="Where and how it runs (YAML).")] = None,
    trials: Annotated[int | None, typer.Option(help="Trials in all.")] = None,
    output: Annotated[
        str | None, typer.Option(help="Folder of sweeps, or a URI [default: runs].")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of this sweep.")] = None,
    address: Annotated[str | None, typer.Option(help="A Ray cluster's address, or auto.")] = None,
    assignments: Assignments = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Search a space: prepare, run trials, track, report."""
    warm_up(address)
    from kdray.commands.speaking import Voice
    from kdray.commands.sweeps import launch_sweep
    from kdray.loading import load_sweep_config
    from kdray.locations import new_folder, output_folder

    config = load_sweep_config(space, _assigned(assignments, trials, name), profile)
    folder = new_folder(output or output_folder(profile), config.name, asked=name is not None)
    command = shlex.join(["kdray", *sys.argv[1:]])
    launch_sweep(config, folder, command, address, Voice(quiet, as_json))


@app.command()
def submit(
    address: Annotated[
        str,
        typer.Option(
            help="The head's dashboard, http://HEAD:8265.",
            envvar=["RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"],
        ),
    ],
    space: Annotated[Path | None, typer.Argument(help="Search-space file (YAML).")] = None,
    profile: Annotated[Path | None, typer.Option(help="Where and how it runs (YAML).")] = None,
    trials: Annotated[int | None, typer.Option(help="Trials in all.")] = None,
    output: Annotated[Path, typer.Option(help="Folder of sweeps here, for results.")] = Path(
        "runs"
    ),
    name: Annotated[str | None, typer.Option(help="Name of this sweep.")] = None,
    follow: Annotated[str | None, typer.Option(help="A job that was sent before.")] = None,
    assignments: Assignments = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Send a sweep to a cluster as a Ray job, follow it, and bring the results back.

    The cluster needs the packages that kdray depends on; kdray itself and local files are sent.
    """
    from kdray.commands.speaking import Voice
    from kdray.submission import Place, follow_sweep, submit_sweep

    if (space is None) == (follow is None):
        raise typer.BadParameter("give a search-space file, or --follow JOB_ID", param_hint="SPACE")
    place = Place(address, output, Voice(quiet, as_json))
    if space is None:
        follow_sweep(str(follow), place)
    else:
        submit_sweep(space, _assigned(assignments, trials, name), profile, place)


@app.command()
def resume(
    folder: Folder,
    profile: Annotated[Path | None, typer.Option(help="Where and how it runs now (YAML).")] = None,
    trials: Annotated[int | None, typer.Option(help="Trials in all, to go on further.")] = None,
    address: Annotated[str | None, typer.Option(help="A Ray cluster's address, or auto.")] = None,
    as_begun: Annotated[
        bool, typer.Option("--as-begun", help="Whatever its file says by now.")
    ] = False,
    assignments: Assignments = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Go on with a sweep after Ctrl-C or a crash, elsewhere, or with more trials."""
    warm_up(address)
    from kdray.commands.resuming import Asked
    from kdray.commands.speaking import Voice
    from kdray.commands.sweeps import resume_sweep

    asked = Asked(_assigned(assignments, trials, None), profile, as_begun)
    resume_sweep(folder, asked, address, Voice(quiet, as_json))


@app.command()
def confirm(
    folder: Folder,
    seeds: Annotated[int, typer.Option(help="Other seeds of each student, 2 or more.")] = 3,
    address: Annotated[str | None, typer.Option(help="A Ray cluster's address, or auto.")] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train the front again with other seeds: is the winner good, or was it lucky?"""
    warm_up(address)
    from kdray.commands.confirmations import confirm_front

    confirm_front(folder, seeds, address, quiet, as_json)


@app.command()
def trial(
    target: Annotated[Path, typer.Argument(help="Search-space file, or a sweep's folder.")],
    trial_id: Annotated[str | None, typer.Argument(help="A past trial, with a folder.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write the student here.")] = None,
    assignments: Assignments = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Run one trial in this process, or do a past one again, exactly."""
    from kdray.commands.speaking import Voice
    from kdray.commands.trials import run_one_trial

    run_one_trial(target, trial_id, assignments or [], output, Voice(quiet, as_json))


def _assigned(assignments: list[str] | None, trials: int | None, name: str | None) -> list[str]:
    """Returns the assignments of a command line, those that have flags of their own included."""
    flags = {"search.trials": trials, "name": name}
    more = [f"{key}={json.dumps(value)}" for key, value in flags.items() if value is not None]
    return [*(assignments or []), *more]
