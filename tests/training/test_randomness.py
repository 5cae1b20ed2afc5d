import os

import pytest
import torch

from kdray.training.randomness import deterministic_algorithms

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def state():
    cudnn = torch.backends.cudnn
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        cudnn.deterministic,
        cudnn.benchmark,
        os.environ.get(WORKSPACE),
    )


@pytest.mark.parametrize("workspace", [None, ":16:8"])
def test_only_deterministic_algorithms_are_used_inside_and_all_is_as_before_outside(
    monkeypatch, workspace
):
    monkeypatch.delenv(WORKSPACE, raising=False)
    if workspace:
        monkeypatch.setenv(WORKSPACE, workspace)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    before = state()
    with deterministic_algorithms(True):
        assert state() == (True, False, True, False, workspace or ":4096:8")
    assert state() == before
    with pytest.raises(ZeroDivisionError), deterministic_algorithms(True):
        1 / 0  # noqa: B018
    assert state() == before


def test_a_setting_that_only_warns_comes_back():
    try:
        torch.use_deterministic_algorithms(True, warn_only=True)
        with deterministic_algorithms(True):
            assert state()[:2] == (True, False)
        assert state()[:2] == (True, True)
    finally:
        torch.use_deterministic_algorithms(False)


def test_nothing_changes_where_it_is_not_wanted():
    before = state()
    with deterministic_algorithms(False):
        assert state() == before


def test_an_operation_without_such_an_algorithm_is_an_error():
    values, places = torch.zeros(2, 2), torch.zeros(2, 2, dtype=torch.int64)
    with deterministic_algorithms(True), pytest.raises(RuntimeError, match="deterministic"):
        values.put_(places, torch.ones(2, 2))
