"""How the teacher's outputs on a training set are laid out: each of them one flat array.

Hidden states and attention are stored in half precision: a LayerNorm's output and a probability
lose less than 0.1 % in it. Logits stay in float32.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from torch import Tensor

from kdray.data.dataset import Rows
from kdray.models.outputs import Needs, Outputs

Array = npt.NDArray[Any]

LOGITS = "logits"
_SIDES = {LOGITS: 0, "hidden": 1, "attentions": 2}


@dataclass(frozen=True)
class Column:
    """The array of one output.

    Attributes:
        shape: (values, ...): all examples end to end.
        dtype: Its number format, by numpy's name.
        sides: How many axes of one example's output are its positions: 0 for logits (labels), 1 for
            hidden states (positions, width), 2 for attention (positions, positions).
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
        sizes = [lengths**sides for sides in sorted(_SIDES.values())]
        return cls(lengths, tuple(np.concatenate([[0], np.cumsum(size)]) for size in sizes))

    def columns(self, needs: Needs, model: Any) -> dict[str, Column]:
        """Returns the column of each output that is needed, the logits first.

        Args:
            needs: What is read besides the logits.
            model: The teacher's transformers configuration.
        """
        logits, hidden, attentions = (int(ends[-1]) for ends in self.offsets)
        kinds = {
            LOGITS: Column((logits, model.num_labels), "float32", 0),
            "hidden": Column((hidden, model.hidden_size), "float16", 1),
            "attentions": Column((attentions,), "float16", 2),
        }
        return {name: kinds[_kind(name)] for name in output_names(needs)}

    def put(self, name: str, array: Array, rows: Rows, padded: Array) -> None:
        """Writes the outputs of some examples, (rows, ...), to their places in a column."""
        sides = _SIDES[_kind(name)]
        for example, row in zip(padded, rows, strict=True):
            part = example[(slice(self.lengths[row]),) * sides]
            start, end = self.offsets[sides][row : row + 2]
            array[start:end] = part.reshape(-1, *array.shape[1:])

    def take(self, name: str, array: Array, rows: Rows, length: int) -> Array:
        """Returns the outputs of some examples, padded with 0 to `length` positions."""
        sides = _SIDES[_kind(name)]
        batch = np.zeros((len(rows), *(length,) * sides, *array.shape[1:]), array.dtype)
        for example, row in zip(batch, rows, strict=True):
            n = self.lengths[row]
            start, end = self.offsets[sides][row : row + 2]
            example[(slice(n),) * sides] = array[start:end].reshape(*(n,) * sides, *array.shape[1:])
        return batch


def output_names(needs: Needs) -> list[str]:
    """Returns the names of the logits and of what is needed besides: `hidden.3`, `attentions.1`."""
    hidden = [f"hidden.{layer}" for layer in sorted(needs.hidden)]
    return [LOGITS, *hidden, *(f"attentions.{layer}" for layer in sorted(needs.attentions))]


def needs_of(names: Iterable[str]) -> Needs:
    """Returns what is needed besides the logits, by the names of outputs."""
    layers: dict[str, set[int]] = {kind: set() for kind in _SIDES}
    for name in names:
        if name != LOGITS:
            layers[_kind(name)].add(int(name.rpartition(".")[2]))
    return Needs(frozenset(layers["hidden"]), frozenset(layers["attentions"]))


def by_name(outputs: Outputs) -> dict[str, Tensor]:
    """Returns a model's outputs by their names."""
    hidden = {f"hidden.{layer}": states for layer, states in outputs.hidden.items()}
    attentions = {f"attentions.{layer}": weights for layer, weights in outputs.attentions.items()}
    return {LOGITS: outputs.logits, **hidden, **attentions}


def as_outputs(tensors: Mapping[str, Tensor], needs: Needs) -> Outputs:
    """Returns named tensors as a model's outputs."""
    return Outputs(
        tensors[LOGITS],
        {layer: tensors[f"hidden.{layer}"] for layer in needs.hidden},
        {layer: tensors[f"attentions.{layer}"] for layer in needs.attentions},
    )


def _kind(name: str) -> str:
    return name.partition(".")[0]
