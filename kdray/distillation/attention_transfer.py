"""Match where in a text the hidden states of mapped layers are large."""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from kdray.distillation.base import Match
from kdray.distillation.layers import LayerTeaching
from kdray.models.outputs import Needs, Outputs


class AttentionTransfer(LayerTeaching):
    """Match where in a text the activations are strong, layer by mapped layer.

    Adds :math:`β/2 Σ_l || Q_s/||Q_s||_2 - Q_t/||Q_t||_2 ||_2^2`, with :math:`Q = Σ |F|^p` over the
    channels of the hidden states F, one value a position, padding left out; averaged over the
    batch. Widths may differ without a projection. After a LayerNorm squares sum up to nearly the
    same at each position: with p = 2 the maps hardly differ, hence the large weight.

    Reference: Zagoruyko and Komodakis, "Paying More Attention to Attention", 2017.
    https://arxiv.org/abs/1612.03928
    """

    method: Literal["attention_transfer"] = "attention_transfer"
    transfer_weight: float = Field(1000.0, ge=0, description="β, weight of the maps.")
    power: float = Field(2.0, ge=1, description="p; a larger one sees the strongest channels.")

    def needs(self, layers: frozenset[int]) -> Needs:
        """Returns the hidden states of the mapped layers."""
        return super().needs(layers) | Needs(hidden=layers)

    def extra_terms(self, student: Outputs, teacher: Outputs, match: Match) -> dict[str, Tensor]:
        """Returns the term `attention_transfer`."""
        losses = [
            transfer_loss(student.hidden[s], teacher.hidden[t], student.mask, self.power)
            for s, t in match.pairs.items()
        ]
        term = self.transfer_weight / 2 * torch.stack(losses).sum()
        return super().extra_terms(student, teacher, match) | {"attention_transfer": term}


def transfer_loss(
    student: Tensor, teacher: Tensor, mask: Tensor | None, power: float = 2.0
) -> Tensor:
    """Returns ‖Q_s/‖Q_s‖₂ − Q_t/‖Q_t‖₂‖₂² of one layer, averaged over the batch, in [0, 2].

    Args:
        student: Hidden states, (B, L, H_s).
        teacher: Hidden states, (B, L, H_t); no gradient flows into them.
        mask: (B, L), 1 at real positions; None for all.
        power: p, at least 1.
    """
    difference = _map(student, mask, power) - _map(teacher.detach(), mask, power)
    return difference.pow(2).sum(-1).mean()


def _map(states: Tensor, mask: Tensor | None, power: float) -> Tensor:
    strength = states.float().abs().pow(power).sum(-1)
    return F.normalize(strength if mask is None else strength * mask, dim=-1)
