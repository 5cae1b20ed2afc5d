"""Match hidden states of mapped layers."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from kdray.distillation.base import Match, Shape
from kdray.distillation.layers import LayerTeaching, layer_projections, projected
from kdray.distillation.loss import hidden_loss
from kdray.models.outputs import Needs, Outputs


class Hidden(LayerTeaching):
    """Match the teacher's hidden states, layer by mapped layer.

    Adds :math:`β` times the mean over mapped layers of :math:`MSE(W h_s, h_t)`, padding left out.
    W is a learned projection where the widths differ, and not there where they agree.

    Reference: Jiao et al., "TinyBERT: Distilling BERT for Natural Language Understanding", 2020.
    https://arxiv.org/abs/1909.10351
    """

    method: Literal["hidden"] = "hidden"
    hidden_weight: float = Field(0.3, ge=0, description="β, weight of the hidden states.")

    def match(self, student: Shape, teacher: Shape) -> Match:
        """Returns the mapped layers, with a projection for each if the widths differ."""
        pairs = super().match(student, teacher).pairs
        return Match(pairs, layer_projections(pairs.values(), student, teacher))

    def needs(self, layers: frozenset[int]) -> Needs:
        """Returns the hidden states of the mapped layers."""
        return super().needs(layers) | Needs(hidden=layers)

    def extra_terms(self, student: Outputs, teacher: Outputs, match: Match) -> dict[str, Tensor]:
        """Returns the term `hidden`."""
        losses = [
            hidden_loss(projected(student.hidden[s], match, s), teacher.hidden[t], student.mask)
            for s, t in match.pairs.items()
        ]
        term = self.hidden_weight * torch.stack(losses).mean()
        return super().extra_terms(student, teacher, match) | {"hidden": term}
