"""The Typer app and what several commands take."""

from pathlib import Path
from typing import Annotated

import typer

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
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the result alone.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON document; what else is said goes to stderr.")
]
