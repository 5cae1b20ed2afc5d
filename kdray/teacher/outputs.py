"""What the teacher says of the training set: computed once a sweep, shared among its trials.

Hidden states and attention are stored in half precision: a LayerNorm's output and a probability
lose less than 0.1 % in it. Logits stay in float32.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from kdray.data.batches import sorted_batches
from kdray.data.dataset import Dataset, Ragged, Rows
from kdray.models.outputs import Needs, Outputs, best_device, forward, with_attentions


@dataclass(frozen=True)
class TeacherOutputs:
    """The outputs on a training set of N examples with P positions in all.

    Attributes:
        logits: (N, labels), float32.
        hidden: By layer, one row an example of (positions, width), float16.
        attentions: By layer, averaged over heads, one row an example of its positions² values,
            row by row, float16.
        lengths: Positions of each example, (N,).
        forward_examples: Examples that went through the teacher to make them: N.
    """

    logits: npt.NDArray[np.float32]
    hidden: Mapping[int, Ragged] = field(default_factory=dict)
    attentions: Mapping[int, Ragged] = field(default_factory=dict)
    lengths: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    forward_examples: int = 0

    def batch(self, rows: Rows, length: int, needs: Needs, device: torch.device) -> Outputs:
        """Returns the outputs for some examples, padded with 0 to `length` positions."""
        return Outputs(
            logits=torch.from_numpy(self.logits[rows]).to(device),
            hidden={
                layer: torch.from_numpy(self.hidden[layer].padded(rows, length)).to(device)
                for layer in needs.hidden
            },
            attentions={
                layer: torch.from_numpy(self._square(layer, rows, length)).to(device)
                for layer in needs.attentions
            },
        )

    @property
    def size_mb(self) -> float:
        """Bytes of all arrays, in MB."""
        layers = [*self.hidden.values(), *self.attentions.values()]
        return (self.logits.nbytes + sum(rows.values.nbytes for rows in layers)) / 1e6

    def _square(self, layer: int, rows: Rows, length: int) -> npt.NDArray[np.generic]:
        stored = self.attentions[layer]
        n = self.lengths[rows][:, None, None]
        i, j = np.arange(length)[None, :, None], np.arange(length)[None, None, :]
        inside = (i < n) & (j < n)
        where = (stored.offsets[rows][:, None, None] + i * n + j)[inside]
        batch = np.zeros((len(rows), length, length), stored.values.dtype)
        batch[inside] = stored.values[where]
        return batch


def compute_outputs(model: Any, dataset: Dataset, needs: Needs) -> TeacherOutputs:
    """Runs the teacher over a training set once.

    Args:
        model: The teacher; it is left on the CPU with the fastest attention.
        dataset: The training set.
        needs: Layers to keep.
    """
    device = best_device()
    model = with_attentions(model.to(device).eval(), bool(needs.attentions))
    lengths = dataset.lengths
    logits = np.empty((len(dataset), model.config.num_labels), np.float32)
    hidden = {layer: _Filling(lengths) for layer in sorted(needs.hidden)}
    attentions = {layer: _Filling(lengths**2) for layer in sorted(needs.attentions)}
    seen = 0
    with torch.inference_mode():
        for batch in sorted_batches(dataset, device):
            output = forward(model, batch.inputs, needs)
            seen += len(batch.rows)
            logits[batch.rows] = output.logits.float().cpu().numpy()
            for layer, states in output.hidden.items():
                for row, padded in zip(batch.rows, _half(states), strict=True):
                    hidden[layer].put(row, padded[: lengths[row]])
            for layer, matrices in output.attentions.items():
                for row, padded in zip(batch.rows, _half(matrices), strict=True):
                    attentions[layer].put(row, padded[: lengths[row], : lengths[row]].ravel())
    with_attentions(model, False).cpu()
    return TeacherOutputs(
        logits,
        {layer: filling.done() for layer, filling in hidden.items()},
        {layer: filling.done() for layer, filling in attentions.items()},
        lengths,
        seen,
    )


class _Filling:
    """A ragged column in half precision that is filled row by row, in any order."""

    def __init__(self, lengths: npt.NDArray[np.int64]) -> None:
        self.offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self.values = np.empty(0, np.float16)

    def put(self, row: int, part: npt.NDArray[np.float16]) -> None:
        if not self.values.size:
            self.values = np.empty((self.offsets[-1], *part.shape[1:]), np.float16)
        self.values[self.offsets[row] : self.offsets[row + 1]] = part

    def done(self) -> Ragged:
        return Ragged(self.values, self.offsets)


def _half(tensor: torch.Tensor) -> npt.NDArray[np.float16]:
    half: npt.NDArray[np.float16] = tensor.to(torch.float16).cpu().numpy()
    return half
