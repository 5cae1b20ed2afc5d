"""The command line. Each command is short; what it needs is imported when it runs."""

import atexit
import gc
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from kdray import __version__
from kdray.errors import KdrayError

app = typer.Typer(
    help="Find the smallest model that is still good enough.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Space = Annotated[Path, typer.Argument(help="Search-space file (YAML).")]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", help="key=value, as often as you like.")
]
Folder = Annotated[str, typer.Argument(help="A sweep's folder, runs/NAME, or its URI.")]


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


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
) -> None:
    """Search a space: prepare, run trials, track, report."""
    from kdray.commands import launch_sweep
    from kdray.loading import load_sweep_config
    from kdray.locations import new_folder, output_folder

    config = load_sweep_config(space, _assigned(assignments, trials, name), profile)
    folder = new_folder(output or output_folder(profile), config.name, asked=name is not None)
    launch_sweep(config, folder, shlex.join(["kdray", *sys.argv[1:]]), address)


@app.command()
def submit(
    address: Annotated[str, typer.Option(help="The head's dashboard, http://HEAD:8265.")],
    space: Annotated[Path | None, typer.Argument(help="Search-space file (YAML).")] = None,
    profile: Annotated[Path | None, typer.Option(help="Where and how it runs (YAML).")] = None,
    trials: Annotated[int | None, typer.Option(help="Trials in all.")] = None,
    output: Annotated[Path, typer.Option(help="Folder of sweeps here, for results.")] = Path(
        "runs"
    ),
    name: Annotated[str | None, typer.Option(help="Name of this sweep.")] = None,
    follow: Annotated[str | None, typer.Option(help="A job that was sent before.")] = None,
    assignments: Assignments = None,
) -> None:
    """Send a sweep to a cluster as a Ray job, follow it, and bring the results back.

    The cluster needs the packages that kdray depends on; kdray itself and local files are sent.
    """
    from kdray.submission import follow_sweep, submit_sweep

    if (space is None) == (follow is None):
        raise typer.BadParameter("give a search-space file, or --follow JOB_ID", param_hint="SPACE")
    if space is None:
        follow_sweep(str(follow), address, output)
    else:
        settings = _assigned(assignments, trials, name)
        submit_sweep(space, settings, profile, address, output)


@app.command()
def resume(
    folder: Folder,
    trials: Annotated[int | None, typer.Option(help="Trials in all, to go on further.")] = None,
    address: Annotated[str | None, typer.Option(help="A Ray cluster's address, or auto.")] = None,
    as_begun: Annotated[
        bool, typer.Option("--as-begun", help="Whatever its file says by now.")
    ] = False,
) -> None:
    """Go on with a sweep after Ctrl-C or a crash, or with more trials."""
    from kdray.commands import resume_sweep

    resume_sweep(folder, trials, address, as_begun)


@app.command()
def validate(space: Space, assignments: Assignments = None) -> None:
    """Check a file, its data and every method with a tiny batch, and estimate the cost."""
    from kdray.validate import validate_space

    validate_space(space, assignments or [])


@app.command()
def trial(
    target: Annotated[Path, typer.Argument(help="Search-space file, or a sweep's folder.")],
    trial_id: Annotated[str | None, typer.Argument(help="A past trial, with a folder.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write the student here.")] = None,
    assignments: Assignments = None,
) -> None:
    """Run one trial in this process, or do a past one again, exactly."""
    from kdray.commands import run_one_trial

    run_one_trial(target, trial_id, assignments or [], output)


@app.command()
def report(folder: Folder) -> None:
    """Make a sweep's tables and report again."""
    from kdray.commands import remake_report

    remake_report(folder)


@app.command()
def best(
    folder: Folder,
    max_size_mb: Annotated[float | None, typer.Option(help="Largest size.", min=0)] = None,
    min_macro_f1: Annotated[
        float | None, typer.Option(help="Least macro-F1.", min=0, max=1)
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(help="Largest share of the teacher's quality to lose.", min=0, max=1),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Copy the student here.")] = None,
) -> None:
    """Take the best student under constraints (on validation); the front's knee without any."""
    from kdray.commands import take_best

    take_best(folder, max_size_mb, min_macro_f1, within, output)


@app.command()
def ui(
    folder: Annotated[Path, typer.Argument(help="A sweep's folder, or that of all.")] = Path(
        "runs"
    ),
    port: Annotated[int, typer.Option(help="Port on this machine.", min=1, max=65535)] = 5000,
) -> None:
    """Open the MLflow UI on the right store, for this machine alone."""
    from kdray.tracking.ui import open_ui

    open_ui(folder, port, typer.echo)


@app.command()
def methods() -> None:
    """Print every method with its options, defaults and paper."""
    from kdray.methods import print_methods

    print_methods()


def _assigned(assignments: list[str] | None, trials: int | None, name: str | None) -> list[str]:
    """Returns the assignments of a command line, those that have flags of their own included."""
    flags = {"search.trials": trials, "name": name}
    more = [f"{key}={json.dumps(value)}" for key, value in flags.items() if value is not None]
    return [*(assignments or []), *more]


def main() -> None:
    """Runs the command line: exit code 2 for wrong input, 1 for a sweep that failed."""
    # Threads that spin while they wait stand still when another process has a core.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Else the interpreter looks through millions of objects for three seconds before it ends.
    atexit.register(gc.freeze)
    try:
        app()
    except KdrayError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
        sys.exit(130)
