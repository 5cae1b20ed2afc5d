"""Learn the teacher's decisions."""

from typing import Literal

from torch import Tensor

from kdray.distillation.base import Teaching
from kdray.training.losses import hard_loss


class Hard(Teaching):
    """Learn what the teacher decides as if it were the truth.

    The soft term is the loss against the teacher's own decision. Single-label: cross-entropy with
    :math:`argmax z_t`. Multi-label: binary cross-entropy with :math:`σ(z_t) > 0.5`. Teachers that
    decide alike teach alike, and a student that decides as its teacher still grows surer. An
    ensemble decides by its mean probability.

    Reference: Touvron et al., "Training data-efficient image transformers & distillation through
    attention" (DeiT), 2021. https://arxiv.org/abs/2012.12877
    """

    method: Literal["hard"] = "hard"

    def soft_term(
        self,
        student: Tensor,
        teacher: Tensor,
        progress: float,
        multi_label: bool,
        label_weights: Tensor | None,
    ) -> Tensor:
        """Returns `hard_loss` against the teacher's decisions, without class weights."""
        targets = decisions(teacher, multi_label)
        return hard_loss(student, targets, multi_label, label_weights=label_weights)


def decisions(logits: Tensor, multi_label: bool) -> Tensor:
    """Returns what logits (B, C) decide, as targets.

    Single-label: the index of the largest, (B,). Multi-label: 1 where σ(z) > 0.5, which is z > 0,
    else 0, (B, C) in float32.
    """
    return (logits.detach() > 0).float() if multi_label else logits.detach().argmax(-1)
