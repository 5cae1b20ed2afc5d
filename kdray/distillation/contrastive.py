"""Tell the teacher's features of the same example from those of all others."""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from kdray.distillation.base import Match, Shape
from kdray.distillation.relations import RelationTeaching, features_of, unit
from kdray.models.outputs import Needs, Outputs

WIDTH = 128


class Contrastive(RelationTeaching):
    """Make the student's features tell the teacher's of the same example from those of others.

    Adds :math:`-log(exp(s·t / τ) / Σ_k exp(s·t_k / τ))`, the InfoNCE form of contrastive
    representation distillation, averaged over the batch. s and t are the pooled features of student
    and teacher, each projected to width 128 and divided by its norm; both projections are learned.
    k goes over the batch and a memory bank: the teacher's features of the whole training set, as
    they are cached, or a part of them that is drawn anew for each batch.

    Where `teacher.cache` does not keep the features, because it is off or full, each trial runs the
    teacher over the training set once to have them, and they take room on its local disk.

    A student that is its own teacher still has a gradient: the projections start at random.

    Reference: Tian et al., "Contrastive Representation Distillation", 2020.
    https://arxiv.org/abs/1910.10699
    """

    method: Literal["contrastive"] = "contrastive"
    contrast_temperature: float = Field(0.07, gt=0, description="τ, softening of similarities.")
    negatives: int = Field(
        1024, ge=0, description="Rows of the bank for a batch; as many as the data: all, exactly."
    )

    def match(self, student: Shape, teacher: Shape) -> Match:
        """Returns both projections."""
        shapes = {"student": student, "teacher": teacher}
        maps = {name: nn.Linear(shape.width, WIDTH) for name, shape in shapes.items()}
        return Match(projections=nn.ModuleDict(maps))

    def teacher_needs(self, layers: frozenset[int]) -> Needs:
        """Returns the pooled features, and those of further examples."""
        return super().teacher_needs(layers) | Needs(bank=self.negatives)

    def extra_terms(self, student: Outputs, teacher: Outputs, match: Match) -> dict[str, Tensor]:
        """Returns the term `contrast`.

        Raises:
            RuntimeError: If the teacher came without its bank.
        """
        known = features_of(teacher)
        if self.negatives:
            if teacher.bank is None:
                raise RuntimeError("the bank of the teacher's features was not asked for")
            known = torch.cat([known, teacher.bank])
        own = match.projections["student"](features_of(student))
        to_width = match.projections["teacher"]
        # Where weights are read in half precision, so is what they are multiplied with.
        its = to_width(known.detach().to(next(to_width.parameters()).dtype))
        term = contrast_loss(own, its, self.contrast_temperature)
        return super().extra_terms(student, teacher, match) | {"contrast": term}


def contrast_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Returns the mean over examples i of −log exp(s_i·t_i/τ) / Σ_k exp(s_i·t_k/τ), from 0 on.

    Rows are divided by their L2 norm first.

    Args:
        student: s, (B, D).
        teacher: t, (K, D), K ≥ B: first those of the same examples, then those of others.
        temperature: τ > 0.
    """
    with torch.autocast(student.device.type, enabled=False):
        scores = unit(student.float()) @ unit(teacher.float()).T / temperature
    return F.cross_entropy(scores, torch.arange(len(student), device=student.device))
