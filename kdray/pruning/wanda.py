"""Wanda: pruning by weights and activations."""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor, nn

from kdray.models.outputs import forward
from kdray.pruning.base import Prunable
from kdray.pruning.calibration import calibrating, calibration_batches
from kdray.pruning.masking import MaskPruning
from kdray.pruning.rows import lowest_of_rows


class Wanda(MaskPruning):
    r"""Remove, of every row, the weights of smallest absolute value times norm of their input.

    Importance of a weight: :math:`|W_{ij}| \cdot \|X_j\|_2`, with the norm of input j over all
    tokens of the calibration texts, padding left out. Only the weights of a row, which make one
    output, are compared. Of each row the same share goes: where ratio · columns is no whole number,
    one more of some rows than of others, so that round(ratio · weights) of each matrix go.

    An embedding that `include` names has a row for each token, and one input for each row: its norm
    is the same in all of the row and drops out. So the importance there is :math:`|W_{ij}|`, and
    each token loses the same share of its vector. To compare the tokens with each other, by how
    often they occur, would remove all of those that the few calibration texts lack.

    Reference: Sun et al., "A Simple and Effective Pruning Approach for Large Language Models",
    2023. https://arxiv.org/abs/2306.11695
    """

    method: Literal["wanda"] = "wanda"
    texts: int = Field(128, ge=1, description="Training texts that input norms are taken over.")

    def importances(
        self, student: Prunable, weights: Mapping[str, Tensor], generator: Generator
    ) -> dict[str, Tensor]:
        r"""Returns :math:`|W_{ij}| \cdot \|X_j\|_2`; of an embedding :math:`|W_{ij}|`."""
        norms = _input_norms(student, weights, self.texts)
        return {name: weight.abs() * norms.get(name, 1.0) for name, weight in weights.items()}

    def masks(self, scores: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
        """Returns masks that remove the share of each row."""
        return {
            name: lowest_of_rows(score, row_counts(share, *score.shape))
            for name, score in scores.items()
        }


def row_counts(share: float, rows: int, columns: int) -> Tensor:
    """Returns how many weights of row i go, ⌊share · columns + (i + ½) / rows⌋, (rows,).

    They differ by one at most, none falls as the share rises, and by Hermite's identity their sum
    is ⌊share · rows · columns + ½⌋.
    """
    offsets = (torch.arange(rows, dtype=torch.float64) + 0.5) / rows
    return (share * columns + offsets).floor().long()


def _input_norms(student: Prunable, names: Iterable[str], texts: int) -> dict[str, Tensor]:
    """Returns ‖X_j‖₂ of each input of the linear layers, (columns,), by name of the weight.

    Where the model computes only some positions of a layer, because nobody reads the others, those
    alone count.
    """
    model, mask = student.model, student.splits["train"].mask
    modules = {name: model.get_submodule(name.removesuffix(".weight")) for name in names}
    linear = {name: module for name, module in modules.items() if isinstance(module, nn.Linear)}
    squares: dict[str, Tensor] = {}

    def add(name: str, real: Tensor | None, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        squares[name] = squares.get(name, 0) + _squares(inputs[0], real)

    with torch.no_grad(), calibrating(model):
        for batch in calibration_batches(student, texts):
            real = batch.inputs[mask].bool() if mask else None
            with ExitStack() as stack:
                for name, module in linear.items():
                    hook = module.register_forward_pre_hook(partial(add, name, real))
                    stack.callback(hook.remove)
                forward(model, batch.inputs)
    return {name: total.sqrt() for name, total in squares.items()}


def _squares(states: Tensor, real: Tensor | None) -> Tensor:
    """Returns Σ X_j² over positions, (columns,), without padding where there is a place for each.

    Args:
        states: (..., columns).
        real: Whether a position is none of padding, (batch, positions).
    """
    if real is not None and states.shape[:-1] == real.shape:
        states = states[real]
    return states.float().square().reshape(-1, states.shape[-1]).sum(0)
