"""Match attention of mapped layers."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from kdray.distillation.base import Match
from kdray.distillation.layers import LayerTeaching
from kdray.distillation.loss import attention_kl, attention_mse
from kdray.models.outputs import Needs, Outputs


class Attention(LayerTeaching):
    """Match what the teacher attends to, layer by mapped layer, averaged over heads.

    Adds :math:`γ` times the mean over mapped layers of :math:`MSE(A_s, A_t)`, or of
    :math:`KL(A_t || A_s)` of the rows, padding left out. Averages over heads can be compared
    whatever the number of heads.

    Reference: after Jiao et al., "TinyBERT: Distilling BERT for Natural Language Understanding",
    2020. https://arxiv.org/abs/1909.10351
    """

    method: Literal["attention"] = "attention"
    attention_weight: float = Field(0.2, ge=0, description="γ, weight of the attention.")
    attention_loss: Literal["mse", "kl"] = Field("mse", description="How two rows are compared.")

    def needs(self, layers: frozenset[int]) -> Needs:
        """Returns the attention of the mapped layers."""
        return super().needs(layers) | Needs(attentions=layers)

    def extra_terms(self, student: Outputs, teacher: Outputs, match: Match) -> dict[str, Tensor]:
        """Returns the term `attention`."""
        compare = attention_mse if self.attention_loss == "mse" else attention_kl
        losses = [
            compare(student.attentions[s], teacher.attentions[t], student.mask)
            for s, t in match.pairs.items()
        ]
        term = self.attention_weight * torch.stack(losses).mean()
        return super().extra_terms(student, teacher, match) | {"attention": term}
