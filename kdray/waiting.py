"""Progress of what takes long: told where the work is done, shown by whoever listens.

Nobody need listen, and then nothing is shown and next to nothing is done.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

# Takes what is done, how much of it is done, and how much there is to do: 0 if that is not known.
Listener = Callable[[str, int, int], None]
ItemT = TypeVar("ItemT")
_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)
# What takes less is over before anyone reads of it.
_NOTICED_S = 1.0


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
def heard_by(listener: Listener | None, interval_s: float = 0.0) -> Iterator[None]:
    """Lets someone listen to what is told by this thread.

    Args:
        listener: Takes it; None: nobody does.
        interval_s: Least time between two times of the same; the first and the last one always are.
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
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Left

    text = TextColumn("{task.description}", markup=False)
    columns = [text, BarColumn(), MofNCompleteColumn(), Left(compact=True)]
    with Progress(*columns, console=console, transient=True) as bars, heard_by(_Bars(bars)):
        yield


class _Bars:
    """A bar for each thing that is not over yet."""

    def __init__(self, bars: Any) -> None:
        self._bars = bars
        self._begun: dict[str, float] = {}
        self._shown: dict[str, TaskID] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        begun = self._begun.setdefault(what, time.monotonic())
        if total and done >= total:
            self._end(what)
        elif what in self._shown:
            self._bars.update(self._shown[what], completed=done, total=total or None)
        elif not total or time.monotonic() - begun >= _NOTICED_S:
            self._shown[what] = self._bars.add_task(what, completed=done, total=total or None)

    def _end(self, what: str) -> None:
        self._begun.pop(what, None)
        if what in self._shown:
            self._bars.remove_task(self._shown.pop(what))


def _patient(listener: Listener, interval_s: float) -> Listener:
    """Returns a listener that is not told the same more often than it wants to hear."""
    told: dict[str, float] = {}

    def listen(what: str, done: int, total: int) -> None:
        now, over = time.monotonic(), bool(total) and done >= total
        if over or what not in told or now - told[what] >= interval_s:
            told[what] = now
            listener(what, done, total)
        if over:
            del told[what]

    return listen
