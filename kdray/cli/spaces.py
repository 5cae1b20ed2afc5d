"""The commands about search-space files: init, validate, schema, methods."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from kdray.cli.app import AsJson, Assignments, Quiet, Space, app


@app.command()
def init(
    file: Annotated[Path | None, typer.Argument(help="The file to write.")] = None,
    data: Annotated[str | None, typer.Option(help="Training file, a table.")] = None,
    text: Annotated[str | None, typer.Option(help="Its column of texts; a pair: a,b.")] = None,
    labels: Annotated[
        str | None, typer.Option(help="0/1 columns: a,b,c; or its column of classes.")
    ] = None,
    teacher: Annotated[str | None, typer.Option(help="Hub id or folder.")] = None,
    budget: Annotated[str | None, typer.Option(help="2h, 90m, or '40 trials'.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the sweep.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a first search-space file; in a terminal, what flags do not say is asked."""
    from kdray.commands.init import Wishes, write_first_space

    wishes = Wishes(data, text, labels, teacher, budget, name)
    write_first_space(file, wishes, _asked if sys.stdin.isatty() else None, force)


@app.command()
def validate(
    space: Space, assignments: Assignments = None, quiet: Quiet = False, as_json: AsJson = False
) -> None:
    """Check a file, its data and every method with a tiny batch, and estimate the cost."""
    from kdray.commands.spaces import validate_space
    from kdray.commands.speaking import Voice

    validate_space(space, assignments or [], Voice(quiet, as_json))


@app.command()
def schema(
    output: Annotated[Path | None, typer.Option(help="Write it here.")] = None,
    profile: Annotated[bool, typer.Option("--profile", help="That of a profile.")] = False,
) -> None:
    """Print the JSON schema of a search-space file, by which editors complete and check it."""
    from kdray.commands.spaces import write_schema

    write_schema(output, profile)


@app.command()
def methods(as_json: AsJson = False) -> None:
    """Print every method with its options, defaults and paper."""
    from kdray.commands.methods import show_methods
    from kdray.commands.speaking import Voice

    show_methods(Voice(as_json=as_json))


def _asked(question: str, proposal: str) -> str:
    answer: str = typer.prompt(question, default=proposal, show_default=bool(proposal))
    return answer
