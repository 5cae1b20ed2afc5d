"""A bar for what takes long; what is over before anyone reads of it has none."""

import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

ItemT = TypeVar("ItemT")
_NOTICED_S = 1.0


def each(what: str, items: Sequence[ItemT], console: Console) -> Iterator[ItemT]:
    """Yields items, and after a second shows in a terminal how many are done with.

    Args:
        what: What is done with them, in words.
        items: The items.
        console: Where the bar is.
    """
    bar = Progress(console=console, transient=True, disable=not console.is_terminal)
    task, begun = bar.add_task(what, total=len(items)), time.monotonic()
    try:
        for done, item in enumerate(items):
            if time.monotonic() - begun > _NOTICED_S:
                bar.start()
            bar.update(task, completed=done)
            yield item
    finally:
        bar.stop()
