"""Ctrl-C in the wrong moment."""

import signal
import sys
import time
import weakref

import pytest

from kdray.cli.interrupts import heard_interrupts


class Thing:
    """Something that is finalised."""


def lose_an_interrupt() -> None:
    """Takes a Ctrl-C where Python cannot raise anything, and then has a minute's work."""
    thing = Thing()
    reference = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
    del thing
    assert reference() is None
    time.sleep(60)


def test_an_interrupt_within_a_finaliser_comes_again(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.unraisablehook
    with pytest.raises(KeyboardInterrupt), heard_interrupts():
        lose_an_interrupt()
    assert capsys.readouterr().err == ""
    assert sys.unraisablehook == before


def test_other_failures_of_finalisers_are_told_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: told.append(lost.exc_value))
    thing = Thing()
    reference = weakref.ref(thing, lambda _: 1 / 0)
    with heard_interrupts():
        del thing
    assert reference() is None
    assert [type(error) for error in told] == [ZeroDivisionError]
