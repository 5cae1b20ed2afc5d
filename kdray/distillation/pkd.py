"""Match the first position's hidden states of mapped layers."""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from kdray.distillation.base import Match, Shape
from kdray.distillation.layers import LayerTeaching, layer_projections, projected
from kdray.distillation.relations import unit
from kdray.models.outputs import Needs, Outputs


class PatientKnowledge(LayerTeaching):
    """Match the direction of the first position's ([CLS]) hidden state, layer by mapped layer.

    Adds :math:`β` times the mean over mapped layers of
    :math:`MSE(h_s / ||h_s||_2, h_t / ||h_t||_2)`. Where the widths differ, :math:`h_s` is what a
    learned projection makes of it.

    Reference: Sun et al., "Patient Knowledge Distillation for BERT Model Compression", 2019.
    https://arxiv.org/abs/1908.09355
    """

    method: Literal["pkd"] = "pkd"
    patience_weight: float = Field(100.0, ge=0, description="β, weight of the hidden states.")

    def match(self, student: Shape, teacher: Shape) -> Match:
        """Returns the mapped layers, with a projection for each if the widths differ."""
        pairs = super().match(student, teacher).pairs
        return Match(pairs, layer_projections(pairs.values(), student, teacher))

    def needs(self, layers: frozenset[int]) -> Needs:
        """Returns the first position of the mapped layers."""
        return super().needs(layers) | Needs(first=layers)

    def extra_terms(self, student: Outputs, teacher: Outputs, match: Match) -> dict[str, Tensor]:
        """Returns the term `patience`."""
        losses = [
            patience_loss(projected(student.first[s], match, s), teacher.first[t])
            for s, t in match.pairs.items()
        ]
        term = self.patience_weight * torch.stack(losses).mean()
        return super().extra_terms(student, teacher, match) | {"patience": term}


def patience_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Returns the mean over examples and channels of (h_s/‖h_s‖₂ − h_t/‖h_t‖₂)², in [0, 4/H].

    Args:
        student: h_s, (B, H), projected to the teacher's width.
        teacher: h_t, (B, H); no gradient flows into it.
    """
    return F.mse_loss(unit(student.float()), unit(teacher.detach().float()))
