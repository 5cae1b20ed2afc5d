"""The command line. Each command is short; what it needs is imported when it runs."""

import atexit
import gc
import os
import sys
from typing import Annotated

import typer

from kdray import __version__
from kdray.cli import folders, running, spaces, students
from kdray.cli.app import app
from kdray.cli.interrupts import heard_interrupts
from kdray.errors import KdrayError

__all__ = ["app", "folders", "main", "running", "spaces", "students"]


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Runs the command line: exit code 2 for wrong input, 1 for a sweep that failed."""
    # Threads that spin while they wait stand still when another process has a core.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Else the interpreter looks through millions of objects for three seconds before it ends.
    atexit.register(gc.freeze)
    try:
        with heard_interrupts():
            app()
    except KdrayError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
        sys.exit(130)
