"""The commands about search-space files: validate, schema, methods."""

from pathlib import Path
from typing import Annotated

import typer

from kdray.cli.app import AsJson, Assignments, Quiet, Space, app


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
