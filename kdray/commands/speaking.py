"""How commands speak: to people, to people in a hurry, to machines."""

import json
import sys
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Voice:
    """How a command was asked to speak.

    Attributes:
        quiet: The result alone.
        as_json: The result as one JSON document; what else there is to say goes to stderr.
    """

    quiet: bool = False
    as_json: bool = False

    def progress(self) -> Console:
        """Returns where the command says what it is doing."""
        return progress_console(self.quiet, self.as_json)

    def result(self) -> Console:
        """Returns where it says for people what came of it: nowhere where a document does."""
        return Console(quiet=self.as_json)


ALOUD = Voice()


def progress_console(quiet: bool = False, as_json: bool = False) -> Console:
    """Returns where a command says what it is doing.

    Args:
        quiet: Nowhere.
        as_json: To stderr, because stdout is one JSON document.
    """
    return Console(stderr=as_json, quiet=quiet)


def full_width(table: Table, console: Console) -> int:
    """Returns the columns of a console that a table needs to show every cell in full."""
    return console.measure(table, options=console.options.update(max_width=10_000)).maximum


def print_table(table: Table, console: Console) -> None:
    """Prints a table with every cell in full; a narrow terminal folds its lines."""
    room = console.width
    console.width = full_width(table, console)
    try:
        console.print(table, soft_wrap=True)
    finally:
        console.width = room


def print_json(value: Any) -> None:
    """Prints a value as one JSON document on stdout; a number that is none, as NaN, as null."""
    text = json.dumps(_finite(value), indent=2, ensure_ascii=False, default=str, allow_nan=False)
    sys.stdout.write(f"{text}\n")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if hasattr(value, "item"):  # a number of numpy's
        return _finite(value.item())
    missing = isinstance(value, float) and value - value != 0
    return None if missing else value
