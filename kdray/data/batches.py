"""Batches: mappings of tensors, of examples of similar length."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kdray.data.dataset import Dataset, Rows

POOL_BATCHES = 50
POSITIONS = 8192


@dataclass(frozen=True)
class Batch:
    """Some examples, ready for a model.

    Attributes:
        inputs: Tensors by the name of the model's argument, (batch, ...).
        targets: (batch, labels) float32, or (batch,) int64.
        rows: The examples' places in their dataset.
        labelled: The places in the batch of the examples that have labels, (labelled,); None: all.
    """

    inputs: Mapping[str, Tensor]
    targets: Tensor
    rows: Rows
    labelled: Tensor | None = None


def make_batch(dataset: Dataset, rows: Rows, device: torch.device) -> Batch:
    """Returns the batch of the given examples on a device."""
    inputs = {name: _tensor(array, device) for name, array in dataset.arrays(rows).items()}
    labelled = None
    if dataset.labelled is not None:
        labelled = _tensor(np.flatnonzero(rows < dataset.labelled), device)
    return Batch(inputs, _tensor(dataset.targets[rows], device), rows, labelled)


def shuffled_rows(dataset: Dataset, batch_size: int, seed: int, epoch: int) -> list[Rows]:
    """Returns the batches of one epoch: every example once, neighbours of similar length.

    All examples are shuffled, cut into pools of 50 batches, sorted by length within their pool
    only, cut into batches, and the batches shuffled again. So an example meets others every
    epoch, and neither the early nor the late steps see the long ones.
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(dataset))
    pool = batch_size * POOL_BATCHES
    batches: list[Rows] = []
    for start in range(0, len(order), pool):
        part = order[start : start + pool]
        part = part[np.argsort(dataset.lengths[part], kind="stable")]
        batches += [part[first : first + batch_size] for first in range(0, len(part), batch_size)]
    return [batches[index] for index in generator.permutation(len(batches))]


def sorted_batches(
    dataset: Dataset, device: torch.device, positions: int = POSITIONS
) -> Iterator[Batch]:
    """Yields every example once, shortest first, in batches of at most `positions` tokens.

    An example that is longer than that stands alone.
    """
    order = np.argsort(dataset.lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, positions // max(1, int(dataset.lengths[order[start]])))
        rows = order[start : start + size]
        width = dataset.width(rows)
        if len(rows) * width > positions:
            rows = rows[: max(1, positions // width)]
        yield make_batch(dataset, rows, device)
        start += len(rows)


def _tensor(array: npt.NDArray[np.generic], device: torch.device) -> Tensor:
    if array.dtype == np.int32:
        array = array.astype(np.int64)
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)
