"""What a report needs is imported while the last trials run."""

import threading

import pytest

from kdray.reporting import report
from kdray.sweep.ahead import Ahead


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Whether it was got ready."""
    event = threading.Event()
    monkeypatch.setattr(report, "get_ready", event.set)
    return event


def ends(ahead: Ahead, trials: int) -> None:
    for _ in range(trials):
        ahead.on_trial_complete(0, [], None)


def test_it_is_imported_once_a_slot_is_without_a_trial(ready: threading.Event) -> None:
    ahead = Ahead(2)
    ends(ahead, 2)
    assert not ready.wait(0.1)
    ahead.on_trial_error(0, [], None)
    assert ready.wait(60)
    ends(ahead, 1)
    ahead.on_experiment_end([])


def test_a_sweep_that_is_stopped_before_does_not_wait_for_it(ready: threading.Event) -> None:
    ahead = Ahead(2)
    ends(ahead, 2)
    ahead.on_experiment_end([])
    assert not ready.is_set()


def test_what_cannot_be_imported_is_told_by_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ImportError

    monkeypatch.setattr(report, "get_ready", fail)
    ahead = Ahead(0)
    ends(ahead, 1)
    ahead.on_experiment_end([])
