"""How many trials run side by side on a cluster whose nodes come and go."""

from types import SimpleNamespace
from typing import Any

import pytest

from kdray.sweep import growth
from kdray.sweep.growth import Growth
from kdray.sweep.resources import Slot

NODE = {"CPU": 4.0}


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, float]]:
    """The nodes that are there, looked at in every step."""
    there = [{"CPU": 1.0}]
    monkeypatch.setattr(growth, "alive_nodes", lambda: there)
    monkeypatch.setattr(growth, "EVERY_S", 0.0)
    return there


def width(slot: Slot) -> int:
    limiter: Any = SimpleNamespace(max_concurrent=slot.concurrent)
    Growth(limiter, slot).on_step_begin(0, [])
    return int(limiter.max_concurrent)


def test_as_many_trials_run_as_fit_on_the_nodes_that_are_there(
    nodes: list[dict[str, float]],
) -> None:
    slot = Slot(1.0, 0.0, 1, may_grow=True)
    nodes += [NODE, NODE]
    assert width(slot) == 9
    nodes.clear()
    assert width(slot) == 1


def test_no_more_run_than_were_asked_for_whatever_joins(nodes: list[dict[str, float]]) -> None:
    slot = Slot(1.0, 0.0, 1, may_grow=True, most=8)
    assert width(slot) == 1
    nodes.append(NODE)
    assert width(slot) == 5
    nodes.append(NODE)
    assert width(slot) == 8
