"""Ctrl-C that is never lost."""

import _thread
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def heard_interrupts() -> Iterator[None]:
    """Lets a Ctrl-C that falls into a finaliser come again, a moment later.

    Python raises KeyboardInterrupt wherever the main thread is. In a `__del__` method or a weak
    reference's callback, of which a sweep has many, it would be printed with a traceback and
    forgotten.
    """
    before = sys.unraisablehook

    def hear(lost: "sys.UnraisableHookArgs") -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            threading.Timer(0.01, _thread.interrupt_main).start()
        else:
            before(lost)

    sys.unraisablehook = hear
    try:
        yield
    finally:
        sys.unraisablehook = before
