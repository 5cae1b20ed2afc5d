"""The commands about what a sweep has found: report, best, ui."""

from pathlib import Path
from typing import Annotated

import typer

from kdray.cli.app import AsJson, Folder, app


@app.command()
def report(
    folders: Annotated[
        list[str], typer.Argument(help="A sweep's folder, runs/NAME, or several on one front.")
    ],
    output: Annotated[str | None, typer.Option(help="Write the report into this folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a sweep's tables and report again, or a report of several sweeps on one front."""
    from kdray.commands.reports import remake_report

    remake_report(folders, output, as_json)


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
    from kdray.commands.best import take_best

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
