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
        arrays = [
            self.logits,
            *(r.values for r in [*self.hidden.values(), *self.attentions.values()]),
        ]
        return sum(array.nbytes for array in arrays) / 1e6

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
        model: The teacher.
        dataset: The training set.
        needs: Layers to keep.
    """
    device = best_device()
    model = with_attentions(model.to(device).eval(), bool(needs.attentions))
    lengths, count = dataset.lengths, len(dataset)
    by_token, by_pair = _offsets(lengths), _offsets(lengths**2)
    logits = np.empty((count, model.config.num_labels), np.float32)
    hidden: dict[int, npt.NDArray[np.float16]] = {}
    attentions = {layer: np.empty(by_pair[-1], np.float16) for layer in needs.attentions}
    seen = 0
    with torch.inference_mode():
        for batch in sorted_batches(dataset, device):
            output = forward(model, batch.inputs, needs)
            seen += len(batch.rows)
            logits[batch.rows] = output.logits.float().cpu().numpy()
            for layer, states in output.hidden.items():
                width = states.shape[-1]
                flat = hidden.setdefault(layer, np.empty((by_token[-1], width), np.float16))
                _scatter(flat, by_token, batch.rows, lengths, _half(states))
            for layer, matrix in output.attentions.items():
                _scatter_squares(attentions[layer], by_pair, batch.rows, lengths, _half(matrix))
    with_attentions(model, False).cpu()
    return TeacherOutputs(
        logits,
        {layer: Ragged(values, by_token) for layer, values in hidden.items()},
        {layer: Ragged(values, by_pair) for layer, values in attentions.items()},
        lengths,
        seen,
    )


def _offsets(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _half(tensor: torch.Tensor) -> npt.NDArray[np.float16]:
    half: npt.NDArray[np.float16] = tensor.to(torch.float16).cpu().numpy()
    return half


def _scatter(
    flat: npt.NDArray[np.float16],
    offsets: npt.NDArray[np.int64],
    rows: Rows,
    lengths: npt.NDArray[np.int64],
    padded: npt.NDArray[np.float16],
) -> None:
    for place, row in enumerate(rows):
        flat[offsets[row] : offsets[row + 1]] = padded[place, : lengths[row]]


def _scatter_squares(
    flat: npt.NDArray[np.float16],
    offsets: npt.NDArray[np.int64],
    rows: Rows,
    lengths: npt.NDArray[np.int64],
    padded: npt.NDArray[np.float16],
) -> None:
    for place, row in enumerate(rows):
        n = lengths[row]
        flat[offsets[row] : offsets[row + 1]] = padded[place, :n, :n].ravel()
