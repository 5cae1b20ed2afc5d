"""The command about all sweeps of a folder: list."""

from typing import Annotated

import typer

from kdray.cli.app import AsJson, app


@app.command("list")
def list_(
    runs: Annotated[str, typer.Argument(help="The folder of sweeps, or that of one.")] = "runs",
    clean: Annotated[
        bool,
        typer.Option(
            "--clean",
            help="Remove what no front of a sweep that is done needs: the teacher's outputs, which "
            "can be computed again, weights and checkpoints that nothing reads, leftovers.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """The sweeps of a folder: state, trials, front, best student, disk."""
    from kdray.commands.listing import list_sweeps

    list_sweeps(runs, clean, as_json)
