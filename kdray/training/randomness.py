"""Where random numbers come from: seeded, and put back to where they were; and what else varies."""

import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

# cuBLAS reads there how it shares its memory; without it torch refuses to be deterministic.
_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def seed_everything(seed: int) -> None:
    """Seeds Python, numpy and torch: the same configuration then gives the same student."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextmanager
def deterministic_algorithms(wanted: bool) -> Iterator[None]:
    """Lets torch compute only with what gives the same each time, inside the block.

    On a CPU it always does. An operation that has no such algorithm raises a RuntimeError.

    Args:
        wanted: Without it, nothing happens.
    """
    if not wanted:
        yield
        return
    cudnn, workspace = torch.backends.cudnn, os.environ.get(_WORKSPACE)
    before = torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark
    only_warn = torch.is_deterministic_algorithms_warn_only_enabled()
    os.environ.setdefault(_WORKSPACE, ":4096:8")
    try:
        _set_algorithms((True, True, False), False)
        yield
    finally:
        _set_algorithms(before, only_warn)
        if workspace is None:
            del os.environ[_WORKSPACE]


def _set_algorithms(chosen: tuple[bool, bool, bool], only_warn: bool) -> None:
    deterministic, torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = chosen
    torch.use_deterministic_algorithms(deterministic, warn_only=only_warn)


def random_state() -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Returns the state of every generator: torch's by device; Python's and numpy's for JSON."""
    name, keys, *rest = np.random.get_state(legacy=True)
    tensors = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states = torch.cuda.get_rng_state_all()
        tensors |= {f"cuda:{index}": state for index, state in enumerate(states)}
    return tensors, {"python": random.getstate(), "numpy": [name, np.asarray(keys).tolist(), *rest]}


def set_random_state(tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Puts every generator back to what `random_state` returned; absent devices are left out."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.asarray(keys, np.uint32), *rest))
    torch.set_rng_state(tensors["cpu"])
    for index in range(torch.cuda.device_count()):
        if f"cuda:{index}" in tensors:
            torch.cuda.set_rng_state(tensors[f"cuda:{index}"], index)
