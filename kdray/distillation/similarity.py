"""Match which examples of a batch are alike."""

from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from kdray.distillation.base import Match
from kdray.distillation.relations import RelationTeaching, features_of, inner_products, unit
from kdray.models.outputs import Outputs


class Similarity(RelationTeaching):
    """Match which examples of a batch have similar pooled features.

    Adds :math:`γ ||G_s - G_t||_F^2 / B^2`, with :math:`G = F F^T` of the features F, each row
    divided by its L2 norm. Widths may differ. Where memory runs out and a batch is done in parts,
    G is that of a part.

    Reference: Tung and Mori, "Similarity-Preserving Knowledge Distillation", 2019.
    https://arxiv.org/abs/1907.09682
    """

    method: Literal["similarity"] = "similarity"
    similarity_weight: float = Field(3000.0, ge=0, description="γ, weight of the similarities.")

    def extra_terms(self, student: Outputs, teacher: Outputs, match: Match) -> dict[str, Tensor]:
        """Returns the term `similarity`."""
        term = self.similarity_weight * similarity_loss(features_of(student), features_of(teacher))
        return super().extra_terms(student, teacher, match) | {"similarity": term}


def similarity_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Returns ‖G_s − G_t‖²_F / B², in [0, 4 / B].

    G = F·Fᵀ with each row divided by its L2 norm.

    Args:
        student: F_s, (B, H_s).
        teacher: F_t, (B, H_t); no gradient flows into it.
    """
    own, its = (unit(inner_products(features)) for features in (student, teacher.detach()))
    return F.mse_loss(own, its)
