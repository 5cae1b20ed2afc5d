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
Folder = Annotated[Path, typer.Argument(help="A sweep's folder, runs/NAME.")]


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
    output: Annotated[Path | None, typer.Option(help="Folder of sweeps [default: runs].")] = None,
    name: Annotated[str | None, typer.Option(help="Name of this sweep.")] = None,
    address: Annotated[str | None, typer.Option(help="A Ray cluster's address, or auto.")] = None,
    assignments: Assignments = None,
) -> None:
    """Search a space: prepare, run trials, track, report."""
    from kdray.commands import launch_sweep, new_folder, output_folder
    from kdray.loading import load_sweep_config

    flags = {"search.trials": trials, "name": name}
    more = [f"{key}={json.dumps(value)}" for key, value in flags.items() if value is not None]
    config = load_sweep_config(space, [*(assignments or []), *more], profile)
    folder = new_folder(output or output_folder(profile), config.name, asked=name is not None)
    launch_sweep(config, folder, shlex.join(["kdray", *sys.argv[1:]]), address)


@app.command()
def resume(
    folder: Folder,
    trials: Annotated[int | None, typer.Option(help="Trials in all, to go on further.")] = None,
    address: Annotated[str | None, typer.Option(help="A Ray cluster's address, or auto.")] = None,
) -> None:
    """Go on with a sweep after Ctrl-C or a crash, or with more trials."""
    from kdray.commands import resume_sweep

    resume_sweep(folder, trials, address)


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
def methods() -> None:
    """Print every method with its options, defaults and paper."""
    from kdray.methods import print_methods

    print_methods()


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
