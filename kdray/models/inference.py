"""Logits of a whole dataset, and what is decided from them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from kdray.data.base import Labels
from kdray.data.batches import POSITIONS, sorted_batches
from kdray.data.dataset import Dataset
from kdray.models.outputs import forward, release_memory
from kdray.waiting import progress

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
Targets = npt.NDArray[np.generic]


def predict_logits(
    model: torch.nn.Module, dataset: Dataset, device: torch.device | None = None
) -> FloatArray:
    """Returns the logits of every example in float32, (examples, labels), in dataset order.

    Batches that do not fit into memory are halved, until the longest example stands alone.
    """
    device = device or next(model.parameters()).device
    model.eval()
    positions = POSITIONS
    while True:
        try:
            return _logits(model, dataset, device, positions)
        except torch.OutOfMemoryError:
            if positions <= dataset.longest:
                raise
        # Outside of the handler: the error holds on to what was computed.
        positions //= 2
        release_memory()


def _logits(
    model: torch.nn.Module, dataset: Dataset, device: torch.device, positions: int
) -> FloatArray:
    logits: FloatArray | None = None
    done = 0
    with torch.inference_mode():
        for batch in sorted_batches(dataset, device, positions):
            part = forward(model, batch.inputs).logits.float().cpu().numpy()
            if logits is None:
                logits = np.empty((len(dataset), part.shape[1]), np.float32)
            logits[batch.rows] = part
            done += len(part)
            progress("predicting", done, len(dataset))
    assert logits is not None, "checks refuse empty splits"
    return logits


def probabilities(logits: FloatArray, multi_label: bool) -> FloatArray:
    """Returns σ(z) for each label, or softmax(z) over the classes."""
    z = torch.from_numpy(logits)
    result: FloatArray = (torch.sigmoid(z) if multi_label else torch.softmax(z, -1)).numpy()
    return result


def decide(scores: FloatArray, labels: Labels, thresholds: Sequence[float] = ()) -> IntArray:
    """Returns decisions in the shape of the targets.

    Args:
        scores: Probabilities, (examples, labels).
        labels: What is predicted.
        thresholds: A label is given above its threshold, 0.5 if there are none (multi-label);
            single-label: the likeliest class.
    """
    if labels.kind == "single_label":
        likeliest: IntArray = scores.argmax(-1)
        return likeliest
    limits = np.asarray(thresholds if len(thresholds) else [0.5] * len(labels.names))
    return (scores > limits).astype(np.int64)
