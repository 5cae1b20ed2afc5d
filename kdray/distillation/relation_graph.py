"""Match the graph of a batch: its examples and what lies between them."""

from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from kdray.distillation.base import Match, Shape
from kdray.distillation.relations import RelationTeaching, by_mean, differences, features_of
from kdray.models.outputs import Outputs


class RelationGraph(RelationTeaching):
    """Match the pooled features of a batch, the vertices, and their distances, the edges.

    Adds :math:`λ_v MSE(W f_s, f_t)` and :math:`λ_e MSE(A_s, A_t)`, with A the matrix of squared
    distances :math:`||f_i - f_j||_2^2` of all examples of the batch, divided by its mean. W is a
    learned projection where the widths differ, and not there where they agree. Where memory runs
    out and a batch is done in parts, A is that of a part.

    Reference: Liu et al., "Knowledge Distillation via Instance Relationship Graph", 2019.
    https://openaccess.thecvf.com/content_CVPR_2019/html/Liu_Knowledge_Distillation_via_Instance_Relationship_Graph_CVPR_2019_paper.html
    """

    method: Literal["relation_graph"] = "relation_graph"
    vertex_weight: float = Field(1.0, ge=0, description="λ_v, weight of the features.")
    edge_weight: float = Field(1.0, ge=0, description="λ_e, weight of their distances.")

    def match(self, student: Shape, teacher: Shape) -> Match:
        """Returns a projection of the features if the widths differ."""
        if student.width == teacher.width:
            return Match()
        projection = nn.Linear(student.width, teacher.width, bias=False)
        return Match(projections=nn.ModuleDict({"features": projection}))

    def extra_terms(self, student: Outputs, teacher: Outputs, match: Match) -> dict[str, Tensor]:
        """Returns the terms `vertices` and `edges`."""
        own, its = features_of(student), features_of(teacher)
        projected = match.projections["features"](own) if match.projections else own
        return super().extra_terms(student, teacher, match) | {
            "vertices": self.vertex_weight * vertex_loss(projected, its),
            "edges": self.edge_weight * edge_loss(own, its),
        }


def vertex_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Returns the mean over examples and channels of (f_s − f_t)², from 0 on.

    Args:
        student: (B, H), projected to the teacher's width.
        teacher: (B, H); no gradient flows into it.
    """
    return F.mse_loss(student.float(), teacher.detach().float())


def edge_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Returns the mean over the B×B entries of (A_s − A_t)², from 0 on.

    A holds ‖f_i − f_j‖₂², divided by the mean of all its entries; zeros alone stay zeros.

    Args:
        student: (B, H_s).
        teacher: (B, H_t); no gradient flows into it.
    """
    own, its = (
        by_mean(differences(features).pow(2).sum(-1), len(features) ** 2)
        for features in (student, teacher.detach())
    )
    return F.mse_loss(own, its)
