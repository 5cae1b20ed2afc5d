"""The end of a sweep: its teacher still is the one that was verified, and Ray ends."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray

from kdray.preparation import PreparedSweep, prepare
from kdray.sweep import opening
from kdray.sweep.opening import OpenSweep
from kdray.sweep.preparing import Prepared
from tests.tiny_sweep import tiny_config


def opened(prepared: PreparedSweep) -> OpenSweep:
    nothing: Any = None
    shared = Prepared(ray.put(prepared), 0)
    return OpenSweep(nothing, nothing, shared, nothing, 0, nothing, nothing)


@pytest.mark.ray
def test_a_teacher_that_was_written_to_is_told_at_the_end(cluster: None, tmp_path: Path) -> None:
    prepared = prepare(tiny_config(tmp_path))
    assert opened(prepared).close(ends_ray=False) is None
    weights = {name: array + 1 for name, array in prepared.teacher.weights.items()}
    other = replace(prepared, teacher=replace(prepared.teacher, weights=weights))
    told = opened(other).close(ends_ray=False)
    assert "not those that were verified: something wrote to them" in str(told)


@pytest.mark.ray
def test_ray_ends_with_the_sweep_where_it_was_started_for_it_even_if_the_check_fails(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = list[bool]()
    monkeypatch.setattr(opening.ray, "shutdown", lambda: ended.append(True))
    wrong: Any = "not a prepared sweep"
    with pytest.raises(ray.exceptions.RayTaskError):
        opened(wrong).close(ends_ray=True)
    assert ended == [True]
