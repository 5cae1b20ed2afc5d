"""The end of a sweep: its teacher still is the one that was verified."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray

from kdray.preparation import prepare
from kdray.sweep.opening import OpenSweep
from tests.tiny_sweep import tiny_config


@pytest.mark.ray
def test_a_teacher_that_was_written_to_is_told_at_the_end(cluster: None, tmp_path: Path) -> None:
    prepared = prepare(tiny_config(tmp_path))
    nothing: Any = None
    opened = OpenSweep(nothing, nothing, ray.put(prepared), nothing, 0, nothing, nothing)
    assert opened.teacher_error() is None
    weights = {name: array + 1 for name, array in prepared.teacher.weights.items()}
    other = replace(prepared, teacher=replace(prepared.teacher, weights=weights))
    told = replace(opened, prepared=ray.put(other)).teacher_error()
    assert "not those that were verified: something wrote to them" in str(told)
