"""How the teacher's outputs on a training set are laid out: each of them one flat array.

What there is of every position is stored in half precision: a LayerNorm's output, its projection
and a probability lose less than 0.1 % in it. What is one row an example stays in float32: it is
small and not everywhere bounded, and losses take differences between rows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from torch import Tensor

from kdray.data.dataset import Rows
from kdray.models.catching import projected_widths
from kdray.models.classifier import classification_layer
from kdray.models.outputs import LAYERED, Needs, Outputs

Array = npt.NDArray[Any]

LOGITS, FEATURES = "logits", "features"
_SIDES = {
    LOGITS: 0,
    FEATURES: 0,
    "first": 0,
    "hidden": 1,
    "queries_keys_values": 1,
    "attentions": 2,
}


@dataclass(frozen=True)
class Column:
    """The array of one output.

    Attributes:
        shape: (values, ...): all examples end to end.
        dtype: Its number format, by numpy's name.
        sides: `sides_of` its output.
    """

    shape: tuple[int, ...]
    dtype: str
    sides: int

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Layout:
    """Where each of N examples stands in a column.

    Attributes:
        lengths: Positions of each example, n, (N,).
        offsets: By the sides s of a column: where each example's nˢ values start, and the end of
            the last, (N + 1,).
    """

    lengths: npt.NDArray[np.int64]
    offsets: tuple[npt.NDArray[np.int64], ...]

    @classmethod
    def of(cls, lengths: npt.NDArray[np.int64]) -> Self:
        """Returns the layout of examples with these lengths."""
        sizes = [lengths**sides for sides in sorted(set(_SIDES.values()))]
        return cls(lengths, tuple(np.concatenate([[0], np.cumsum(size)]) for size in sizes))

    def columns(self, needs: Needs, model: Any) -> dict[str, Column]:
        """Returns the column of each output that is needed, the logits first.

        Args:
            needs: What is read besides the logits.
            model: The teacher.

        Raises:
            RuntimeError: If it does not give what is needed.
        """
        return {name: self._column(name, _width(name, model)) for name in output_names(needs)}

    def _column(self, name: str, width: tuple[int, ...]) -> Column:
        sides = sides_of(name)
        dtype = "float16" if sides else "float32"
        return Column((int(self.offsets[sides][-1]), *width), dtype, sides)

    def put(self, name: str, array: Array, rows: Rows, padded: Array) -> None:
        """Writes the outputs of some examples, (rows, ...), to their places in a column."""
        sides = sides_of(name)
        for example, row in zip(padded, rows, strict=True):
            part = example[(slice(self.lengths[row]),) * sides]
            start, end = self.offsets[sides][row : row + 2]
            array[start:end] = part.reshape(-1, *array.shape[1:])

    def take(self, name: str, array: Array, rows: Rows, length: int) -> Array:
        """Returns the outputs of some examples, padded with 0 to `length` positions."""
        sides = sides_of(name)
        batch = np.zeros((len(rows), *(length,) * sides, *array.shape[1:]), array.dtype)
        for example, row in zip(batch, rows, strict=True):
            n = self.lengths[row]
            start, end = self.offsets[sides][row : row + 2]
            example[(slice(n),) * sides] = array[start:end].reshape(*(n,) * sides, *array.shape[1:])
        return batch


def sides_of(name: str) -> int:
    """Returns how many axes of one example's output are its positions.

    0 for logits (labels) and other rows (width); 1 for hidden states (positions, width) and for
    queries, keys and values (positions, 3, width); 2 for attention (positions, positions).
    """
    return _SIDES[_kind(name)]


def output_names(needs: Needs) -> list[str]:
    """Returns the names of the logits and of what is needed besides: `hidden.3`, `attentions.1`."""
    layered = [f"{kind}.{layer}" for kind in LAYERED for layer in sorted(getattr(needs, kind))]
    return [LOGITS, *([FEATURES] if needs.features else []), *layered]


def needs_of(names: Iterable[str]) -> Needs:
    """Returns what is needed besides the logits, by the names of outputs."""
    needs = Needs()
    for name in names:
        if name == FEATURES:
            needs |= Needs(features=True)
        elif name != LOGITS:
            layers: dict[str, Any] = {_kind(name): frozenset({int(name.rpartition(".")[2])})}
            needs |= Needs(**layers)
    return needs


def by_name(outputs: Outputs) -> dict[str, Tensor]:
    """Returns a model's outputs by their names."""
    found = {LOGITS: outputs.logits}
    if outputs.features is not None:
        found[FEATURES] = outputs.features
    for kind in LAYERED:
        found |= {f"{kind}.{layer}": tensor for layer, tensor in getattr(outputs, kind).items()}
    return found


def as_outputs(tensors: Mapping[str, Tensor], needs: Needs) -> Outputs:
    """Returns named tensors as a model's outputs."""
    layers: dict[str, Any] = {
        kind: {layer: tensors[f"{kind}.{layer}"] for layer in getattr(needs, kind)}
        for kind in LAYERED
    }
    features = tensors[FEATURES] if needs.features else None
    return Outputs(tensors[LOGITS], **layers, features=features)


def _width(name: str, model: Any) -> tuple[int, ...]:
    """Returns the shape of what a teacher says of one example, position or pair of positions."""
    kind = _kind(name)
    if kind == LOGITS:
        return (model.config.num_labels,)
    if kind == FEATURES:
        return (classification_layer(model).in_features,)
    if kind == "queries_keys_values":
        return (3, projected_widths(model)[int(name.rpartition(".")[2]) - 1])
    return () if kind == "attentions" else (model.config.hidden_size,)


def _kind(name: str) -> str:
    return name.partition(".")[0]
