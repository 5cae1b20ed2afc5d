"""Learn hints from a middle layer first, and predictions afterwards."""

from typing import Literal

from pydantic import Field
from torch import Tensor

from kdray.distillation.base import Match, Shape, SoftTeaching
from kdray.distillation.layers import layer_projections, projected
from kdray.distillation.loss import masked_mean
from kdray.models.outputs import Needs, Outputs


class FitNet(SoftTeaching):
    """Learn in two stages: hints from the middle layer, then the predictions as `logit` does.

    In the first stage the loss is :math:`||W h_s - h_t||_2^2` alone, averaged over positions,
    padding left out, of the layers ⌈n/2⌉ of n. W is a learned projection where the widths differ,
    and not there where they agree. No epoch that ends in this stage is selected or judged.

    Reference: Romero et al., "FitNets: Hints for Thin Deep Nets", 2015.
    https://arxiv.org/abs/1412.6550
    """

    method: Literal["fitnet"] = "fitnet"
    hint_epochs: float = Field(0.25, gt=0, lt=1, description="Share of the epochs for the hints.")

    def match(self, student: Shape, teacher: Shape) -> Match:
        """Returns the middle layers, with a projection if the widths differ."""
        pairs = {-(-student.layers // 2): -(-teacher.layers // 2)}
        return Match(pairs, layer_projections(pairs.values(), student, teacher))

    def needs(self, layers: frozenset[int]) -> Needs:
        """Returns the hidden states of the middle layer."""
        return super().needs(layers) | Needs(hidden=layers)

    def hinting(self, progress: float) -> bool:
        """Returns whether the first stage lasts."""
        return progress < self.hint_epochs

    def hint_terms(self, student: Outputs, teacher: Outputs, match: Match) -> dict[str, Tensor]:
        """Returns the term `hint`."""
        ((own, its),) = match.pairs.items()
        states = projected(student.hidden[own], match, own)
        return {"hint": hint_loss(states, teacher.hidden[its], student.mask)}


def hint_loss(student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
    """Returns the mean over real positions of ‖h_s − h_t‖₂², from 0 on.

    Args:
        student: (B, L, H), projected to the teacher's width.
        teacher: (B, L, H); no gradient flows into it.
        mask: (B, L), 1 at real positions; None for all.
    """
    squares = (student.float() - teacher.detach().float()).pow(2).sum(-1)
    return masked_mean(squares, mask)
