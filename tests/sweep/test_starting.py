"""Ray's start on a machine that is busy."""

import importlib
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import ray

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


def test_processes_inherit_what_workers_need_and_this_one_is_left_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    seen = dict[str, str]()
    starts(monkeypatch)
    monkeypatch.setattr(starting.ray, "init", lambda **_: seen.update(os.environ))
    starting.start_ray(None)
    assert (seen["OMP_WAIT_POLICY"], seen["TOKENIZERS_PARALLELISM"]) == ("PASSIVE", "false")
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    assert "TOKENIZERS_PARALLELISM" not in os.environ


def test_ray_is_stopped_before_it_waits_for_messages_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_exit = list[Any]()
    monkeypatch.setattr(starting.atexit, "register", at_exit.append)
    starts(monkeypatch, SLOW)
    starting.start_ray(None)
    assert at_exit == [starting.ray.shutdown]


def test_a_machine_that_is_too_busy_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    starts(monkeypatch, SLOW, SLOW, SLOW)
    with pytest.raises(SweepError, match="did not start on this machine in 3 tries"):
        starting.start_ray(None)


def test_any_other_failure_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = starts(monkeypatch, OSError("no space left"))
    with pytest.raises(OSError, match="no space left"):
        starting.start_ray(None)
    assert len(tried) == 1


@pytest.mark.ray
def test_a_trial_that_is_given_no_gpu_sees_none(cluster: None) -> None:
    def task() -> str | None:
        return os.environ.get("CUDA_VISIBLE_DEVICES")

    class Trial:
        def visible(self) -> str | None:
            return os.environ.get("CUDA_VISIBLE_DEVICES")

    assert ray.get(ray.remote(num_cpus=0)(task).remote()) == ""
    assert ray.get(ray.remote(num_cpus=0)(Trial).remote().visible.remote()) == ""


def test_what_is_loaded_in_the_background_is_whole_when_the_wait_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its modules import each other, in one order only, as Ray Tune's do.
    package = tmp_path / "in_circles"
    package.mkdir()
    (package / "__init__.py").write_text("import time; time.sleep(0.5)\nimport in_circles.first\n")
    (package / "first.py").write_text("from in_circles.second import two\none = two - 1\n")
    (package / "second.py").write_text("import in_circles.first\ntwo = 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    with starting.preloading("in_circles"):
        while "in_circles" not in sys.modules:
            time.sleep(0.01)
    assert importlib.import_module("in_circles.second").two == 2
    assert sys.modules["in_circles"].first.one == 1


def test_what_cannot_be_loaded_is_left_to_who_needs_it(capsys: pytest.CaptureFixture[str]) -> None:
    with starting.preloading("no_such_module"):
        pass
    assert capsys.readouterr().err == ""


def test_who_started_ray_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    starts(monkeypatch)
    assert starting.start_ray(None)
    monkeypatch.setattr(starting.ray, "is_initialized", lambda: True)
    assert not starting.start_ray(None)
