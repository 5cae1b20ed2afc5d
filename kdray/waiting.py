"""Progress of what takes long: told where the work is done, shown by whoever listens.

Nobody need listen, and then nothing is shown and next to nothing is done.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

# Takes what is done, how much of it is done, and how much there is to do: 0 if that is not known.
Listener = Callable[[str, int, int], None]
ItemT = TypeVar("ItemT")
_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)
# What takes less is over before anyone could read of it.
_NOTICED_S = 1.0
_OFTEN_S = 0.1


def progress(what: str, done: int, total: int = 0) -> None:
    """Tells how far something has come.

    Args:
        what: In words, such as "the teacher's outputs".
        done: How much of it is done.
        total: How much there is to do, at which it is over; 0 if that is not known.
    """
    listener = _LISTENER.get()
    if listener is not None:
        listener(what, done, total)


def each(what: str, items: Sequence[ItemT]) -> Iterator[ItemT]:
    """Yields items, and tells after each how many are done with."""
    progress(what, 0, len(items))
    for done, item in enumerate(items, start=1):
        yield item
        progress(what, done, len(items))


@contextmanager
def during(what: str) -> Iterator[None]:
    """Tells of something whose length is not known, from its beginning to its end."""
    progress(what, 0)
    try:
        yield
    finally:
        progress(what, 1, 1)


@contextmanager
def heard_by(listener: Listener | None, interval_s: float) -> Iterator[None]:
    """Lets someone listen to what is told by this thread and takes longer than a second.

    Args:
        listener: Takes it, and the end of it, unless it raises; None: nobody does.
        interval_s: Least time between two times of the same.
    """
    token = _LISTENER.set(None if listener is None else _patient(listener, interval_s))
    try:
        yield
    finally:
        _LISTENER.reset(token)


@contextmanager
def shown_on(console: "Console") -> Iterator[None]:
    """Shows a bar for whatever takes longer than a second, in a terminal; elsewhere nothing."""
    if not console.is_terminal or console.quiet:
        yield
        return
    from rich import progress as rich_progress

    columns = [
        rich_progress.TextColumn("{task.description}", markup=False),
        rich_progress.BarColumn(),
        rich_progress.TaskProgressColumn(),
        rich_progress.TimeRemainingColumn(compact=True),
    ]
    shown: dict[str, TaskID] = {}
    with rich_progress.Progress(*columns, console=console, transient=True) as bars:

        def show(what: str, done: int, total: int) -> None:
            if total and done >= total:
                bars.remove_task(shown.pop(what))
                return
            if what not in shown:
                shown[what] = bars.add_task(what, total=total or None)
            bars.update(shown[what], completed=done)

        with heard_by(show, _OFTEN_S):
            yield


def _patient(listener: Listener, interval_s: float) -> Listener:
    """Returns a listener that is told of what takes long, and not too often."""
    due: dict[str, float] = {}
    told: set[str] = set()

    def listen(what: str, done: int, total: int) -> None:
        now, over = time.monotonic(), bool(total) and done >= total
        if what not in due:
            # Of what has no length nothing more is told before its end.
            due[what] = now + (_NOTICED_S if total else 0.0)
        if what in told if over else now >= due[what]:
            due[what] = now + interval_s
            told.add(what)
            listener(what, done, total)
        if over:
            del due[what]
            told.discard(what)

    return listen
