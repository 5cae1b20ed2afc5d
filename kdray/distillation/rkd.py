"""Match how the examples of a batch lie to each other: distances and angles."""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from kdray.distillation.base import Match
from kdray.distillation.relations import (
    RelationTeaching,
    by_mean,
    differences,
    features_of,
    inner_products,
    unit,
)
from kdray.models.outputs import Outputs


class RelationalKnowledge(RelationTeaching):
    """Match distances of all pairs and angles of all triplets of a batch's pooled features.

    Adds :math:`w_d` times the mean over pairs of :math:`l(ψ_D^t, ψ_D^s)`, with
    :math:`ψ_D = ||t_i - t_j||_2 / μ` and μ the mean distance in the batch, and :math:`w_a` times
    the mean over triplets of :math:`l(ψ_A^t, ψ_A^s)`, with ψ_A the cosine of the angle at
    :math:`t_j` between :math:`t_i` and :math:`t_k`; l is the Huber loss. Widths may differ. Where
    memory runs out and a batch is done in parts, pairs and triplets are those within a part.

    Reference: Park et al., "Relational Knowledge Distillation", 2019.
    https://arxiv.org/abs/1904.05068
    """

    method: Literal["rkd"] = "rkd"
    distance_weight: float = Field(1.0, ge=0, description="w_d, weight of the distances.")
    angle_weight: float = Field(2.0, ge=0, description="w_a, weight of the angles.")

    def extra_terms(self, student: Outputs, teacher: Outputs, match: Match) -> dict[str, Tensor]:
        """Returns the terms `distance` and `angle`."""
        both = (features_of(student), features_of(teacher))
        return super().extra_terms(student, teacher, match) | {
            "distance": self.distance_weight * distance_loss(*both),
            "angle": self.angle_weight * angle_loss(*both),
        }


def distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Returns the mean over pairs of Huber(ψ_D(t_i, t_j) − ψ_D(s_i, s_j)), from 0 on.

    ψ_D is the Euclidean distance divided by its mean over the pairs of the batch. Without a pair
    the loss is 0.

    Args:
        student: s, (B, H_s).
        teacher: t, (B, H_t); no gradient flows into it.
    """
    pairs = len(student) * (len(student) - 1)
    own, its = (
        by_mean(torch.linalg.vector_norm(differences(features), dim=-1), pairs)
        for features in (student, teacher.detach())
    )
    return F.huber_loss(own, its, reduction="sum") / max(pairs, 1)


def angle_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Returns the mean over triplets of Huber(ψ_A(t) − ψ_A(s)), in [0, 1.5].

    ψ_A = cos ∠ t_i t_j t_k, for i, j and k that all differ; 0 where t_i or t_k is t_j. Without a
    triplet the loss is 0.

    Args:
        student: s, (B, H_s).
        teacher: t, (B, H_t); no gradient flows into it.
    """
    count = len(student)
    # The directions from j to itself are zeros; those of one direction with itself are no angle.
    others = 1 - torch.eye(count, device=student.device)
    own, its = (
        inner_products(unit(differences(features))) * others
        for features in (student, teacher.detach())
    )
    triplets = count * (count - 1) * (count - 2)
    return F.huber_loss(own, its, reduction="sum") / max(triplets, 1)
