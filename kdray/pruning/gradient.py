"""Gradient pruning."""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor
from torch.func import functional_call

from kdray.data.batches import Batch
from kdray.pruning.base import Prunable
from kdray.pruning.calibration import CALIBRATION_BATCH, calibrating, calibration_batches
from kdray.pruning.masking import ScopedPruning
from kdray.training.losses import hard_loss


class Gradient(ScopedPruning):
    r"""Remove the weights whose loss the task would hardly feel.

    Importance of a weight: :math:`\sum_b |w \cdot \partial L_b / \partial w|` over calibration
    batches b of 16 training texts, with L the loss against the labels: to first order, how much the
    loss of each batch changes without the weight. A weight that the loss does not depend on has 0.
    With the scope `global` whole matrices may go, such as the queries and keys of a layer whose
    attention hardly matters.

    Reference: Molchanov et al., "Pruning Convolutional Neural Networks for Resource Efficient
    Inference", 2017. https://arxiv.org/abs/1611.06440
    """

    method: Literal["gradient"] = "gradient"
    batches: int = Field(8, ge=1, description="Calibration batches, of 16 training texts each.")

    def importances(
        self, student: Prunable, weights: Mapping[str, Tensor], generator: Generator
    ) -> dict[str, Tensor]:
        r"""Returns the sum over batches of :math:`|w \cdot \partial L / \partial w|`."""
        scores = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        with calibrating(student.model):
            for batch in calibration_batches(student, self.batches * CALIBRATION_BATCH):
                for name, gradient in _gradients(student, weights, batch).items():
                    scores[name] += (weights[name] * gradient).abs()
        return scores


def _gradients(student: Prunable, weights: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
    """Returns the gradient of a batch's loss at the weights that it depends on.

    The model runs with stand-ins for the weights. So frozen ones have a gradient as well, and
    nothing of a training that is under way is touched.
    """
    stand_ins = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
    output = functional_call(student.model, stand_ins, (), dict(batch.inputs))
    loss = hard_loss(output.logits, batch.targets, student.labels.kind == "multi_label")
    found = torch.autograd.grad(loss, list(stand_ins.values()), allow_unused=True)
    pairs = zip(stand_ins, found, strict=True)
    return {name: gradient for name, gradient in pairs if gradient is not None}
