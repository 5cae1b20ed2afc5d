"""Texts in flat arrays: they travel through shared memory without a copy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from kdray.data.base import Examples
from kdray.data.dataset import Rows


@dataclass(frozen=True)
class Texts:
    """The texts of one split, end to end in UTF-8.

    Attributes:
        values: All bytes.
        offsets: Where each text starts, and the end of the last, (rows · columns + 1,).
        columns: Texts a row: 1, or 2 for pairs, which stand next to each other.
    """

    values: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    columns: int

    def rows(self) -> tuple[tuple[str, ...], ...]:
        """Returns one tuple of texts a row, as in `Examples`."""
        whole, ends = self.values.tobytes(), self.offsets.tolist()
        texts = [whole[a:b].decode() for a, b in pairwise(ends)]
        return tuple(zip(*[iter(texts)] * self.columns, strict=True))

    def chosen(self, rows: Rows) -> tuple[tuple[str, ...], ...]:
        """Returns the texts of some rows; the others are not decoded."""
        starts = self.offsets[:-1].reshape(-1, self.columns)[rows].tolist()
        ends = self.offsets[1:].reshape(-1, self.columns)[rows].tolist()
        return tuple(
            tuple(self.values[a:b].tobytes().decode() for a, b in zip(*row, strict=True))
            for row in zip(starts, ends, strict=True)
        )


def compact(rows: Sequence[tuple[str, ...]]) -> Texts:
    """Returns rows of one text or of a pair as flat arrays."""
    parts = [text.encode() for row in rows for text in row]
    offsets = np.cumsum([0, *map(len, parts)], dtype=np.int64)
    return Texts(np.frombuffer(b"".join(parts), np.uint8), offsets, len(rows[0]) if rows else 1)


def compact_splits(examples: Mapping[str, Examples]) -> dict[str, Texts]:
    """Returns the texts of every split as flat arrays."""
    return {name: compact(part.texts) for name, part in examples.items()}
