"""Ray's start on a machine that is busy."""

from typing import Any

import pytest

from kdray.errors import SweepError
from kdray.sweep import starting

SLOW = Exception("The current node timed out during startup. This could happen because")


def starts(monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> list[dict[str, Any]]:
    """Lets Ray's first starts fail, and notes all of them."""
    left, tried = list(errors), list[dict[str, Any]]()

    def init(**settings: Any) -> None:
        tried.append(settings)
        if left:
            raise left.pop(0)

    monkeypatch.setattr(starting.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(starting.ray, "init", init)
    monkeypatch.setattr(starting.ray, "shutdown", lambda: None)
    return tried


def test_a_start_that_takes_too_long_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = starts(monkeypatch, SLOW, SLOW)
    starting.start_ray(None)
    assert len(tried) == 3
    assert tried[0] == tried[2]


def test_a_machine_that_is_too_busy_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    starts(monkeypatch, SLOW, SLOW, SLOW)
    with pytest.raises(SweepError, match="did not start on this machine in 3 tries"):
        starting.start_ray(None)


def test_any_other_failure_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = starts(monkeypatch, OSError("no space left"))
    with pytest.raises(OSError, match="no space left"):
        starting.start_ray(None)
    assert len(tried) == 1
