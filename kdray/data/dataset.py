"""Encoded examples in flat arrays: they travel through shared memory without a copy."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from kdray.data.base import LEARNT

Rows = npt.NDArray[np.int64]

# Widths of batches are multiples of this. A CPU's kernels are made and kept for each shape, which
# with every width took 0.3 GB a worker; a GPU's matrix units like it too.
ALIGNED = 8


@dataclass(frozen=True)
class Ragged:
    """Rows of unequal length, end to end.

    Attributes:
        values: All rows, (sum of lengths, ...).
        offsets: Where each row starts, and the end of the last, (rows + 1,).
        pad: What fills a shorter row of a batch.
    """

    values: npt.NDArray[np.generic]
    offsets: npt.NDArray[np.int64]
    pad: int = 0

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Length of each row."""
        return np.diff(self.offsets)

    def padded(self, rows: Rows, length: int) -> npt.NDArray[np.generic]:
        """Returns the rows side by side, (len(rows), length, ...), filled with `pad`."""
        starts = self.offsets[rows]
        inside = np.arange(length) < (self.offsets[rows + 1] - starts)[:, None]
        where = (starts[:, None] + np.arange(length))[inside]
        batch = np.full((len(rows), length, *self.values.shape[1:]), self.pad, self.values.dtype)
        batch[inside] = self.values[where]
        return batch


@dataclass(frozen=True)
class Dataset:
    """One split, encoded.

    Attributes:
        columns: Inputs of the model by name: ragged rows, or an array with one row an example.
        lengths: Length of each example in positions (tokens), (examples,).
        targets: As in `Examples`.
        mask: Name of the input that tells real positions from padding; None where there is none.
        labelled: How many of the examples, the first, have labels; None: all.
    """

    columns: Mapping[str, Ragged | npt.NDArray[np.generic]]
    lengths: npt.NDArray[np.int64]
    targets: npt.NDArray[np.generic]
    mask: str | None = None
    labelled: int | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @cached_property
    def longest(self) -> int:
        """Positions of the longest example."""
        return int(self.lengths.max())

    def width(self, rows: Rows) -> int:
        """Returns the positions of a batch: the longest example's, rounded up to a multiple of 8.

        It is never more than the longest of all examples has, which the model can take; an example
        that stands alone is not padded.
        """
        longest = int(self.lengths[rows].max())
        if len(rows) == 1:
            return longest
        return min(-(-longest // ALIGNED) * ALIGNED, self.longest)

    def arrays(self, rows: Rows) -> dict[str, npt.NDArray[np.generic]]:
        """Returns the inputs of some examples, padded to the width of their batch."""
        length = self.width(rows)
        inputs = {
            name: column.padded(rows, length) if isinstance(column, Ragged) else column[rows]
            for name, column in self.columns.items()
        }
        if self.mask:
            inputs[self.mask] = (np.arange(length) < self.lengths[rows][:, None]).astype(np.int64)
        return inputs


def ragged(rows: list[list[int]], pad: int) -> Ragged:
    """Returns lists of token ids as one ragged column."""
    offsets = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    values = np.fromiter((token for row in rows for token in row), np.int32, int(offsets[-1]))
    return Ragged(values, offsets, pad)


def subset(dataset: Dataset, rows: Rows) -> Dataset:
    """Returns some rows of a dataset as a dataset of their own."""
    columns = {
        name: _chosen(column, rows) if isinstance(column, Ragged) else column[rows]
        for name, column in dataset.columns.items()
    }
    return Dataset(columns, dataset.lengths[rows], dataset.targets[rows], dataset.mask)


def learnt_from(splits: Mapping[str, Dataset]) -> Dataset:
    """Returns what a teacher teaches on: the training set, and behind it texts without labels."""
    train, *others = [splits[name] for name in LEARNT if name in splits]
    for other in others:
        columns = {
            name: _joined(column, other.columns[name]) for name, column in train.columns.items()
        }
        lengths = np.concatenate([train.lengths, other.lengths])
        targets = np.concatenate([train.targets, other.targets])
        return Dataset(columns, lengths, targets, train.mask, len(train))
    return train


def learnt_rows(splits: Mapping[str, Dataset]) -> int:
    """Returns how many examples `learnt_from` has."""
    return sum(len(splits[name]) for name in LEARNT if name in splits)


def _joined(
    first: Ragged | npt.NDArray[np.generic], second: Ragged | npt.NDArray[np.generic]
) -> Ragged | npt.NDArray[np.generic]:
    if isinstance(first, Ragged) and isinstance(second, Ragged):
        offsets = np.concatenate([first.offsets, first.offsets[-1] + second.offsets[1:]])
        return Ragged(np.concatenate([first.values, second.values]), offsets, first.pad)
    assert not isinstance(first, Ragged)
    assert not isinstance(second, Ragged)
    joined: npt.NDArray[np.generic] = np.concatenate([first, second])
    return joined


def _chosen(column: Ragged, rows: Rows) -> Ragged:
    parts = [column.values[column.offsets[row] : column.offsets[row + 1]] for row in rows]
    offsets = np.concatenate([[0], np.cumsum(column.lengths[rows])]).astype(np.int64)
    return Ragged(np.concatenate(parts), offsets, column.pad)
