"""Where random numbers come from: seeded, and put back to where they were."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor


def seed_everything(seed: int) -> None:
    """Seeds Python, numpy and torch: the same configuration then gives the same student."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


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
