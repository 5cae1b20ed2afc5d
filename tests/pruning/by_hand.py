"""One small matrix as a whole classifier, and data for it, to tell importances by hand."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kdray.data.base import Labels
from kdray.data.dataset import Dataset, Ragged
from kdray.pruning.base import Prunable

TWO_CLASSES = Labels(("left", "right"), "single_label")
PADDING = 100


class OneMatrix(nn.Module):
    """Its logits are W x of each position, or of the only one."""

    def __init__(self, weight: Sequence[Sequence[float]]) -> None:
        super().__init__()
        self.layer = nn.Linear(len(weight[0]), len(weight), bias=False)
        with torch.no_grad():
            self.layer.weight.copy_(torch.tensor(weight))

    def forward(self, states: Tensor, attention_mask: Tensor | None = None, **_: Any) -> Any:
        return SimpleNamespace(logits=self.layer(states))


def one_each(states: Sequence[Sequence[float]], classes: Sequence[int], lengths: Any = None) -> Any:
    """Examples of one vector each; `lengths` orders them."""
    sizes = np.ones(len(classes), np.int64) if lengths is None else np.asarray(lengths)
    return Dataset({"states": np.float32(states)}, sizes, np.asarray(classes))


def texts(states: Sequence[Sequence[Sequence[float]]]) -> Dataset:
    """Examples of some vectors each; a batch is padded with vectors of 100."""
    lengths = np.asarray([len(text) for text in states])
    values = np.concatenate([np.float32(text) for text in states])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    columns = {"states": Ragged(values, offsets, PADDING)}
    return Dataset(columns, lengths, np.zeros(len(lengths), np.int64), "attention_mask")


def student(weight: Sequence[Sequence[float]], train: Dataset | None = None) -> Prunable:
    """A student that is one matrix."""
    splits = {} if train is None else {"train": train}
    return Prunable(OneMatrix(weight), None, TWO_CLASSES, splits, None)


def mask_of(method: Any, pruned: Prunable, share: float | None = None) -> list[list[float]]:
    """Prunes a student that is one matrix and returns its mask."""
    found = method.prune(pruned, torch.Generator().manual_seed(0), share)
    mask: list[list[float]] = found.masks["layer.weight"].tolist()
    return mask
