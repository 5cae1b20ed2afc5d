"""The soft term of both label types. Softmax on multi-label logits would make labels compete."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Softening:
    """How both predictions are softened.

    Attributes:
        temperature: T > 0; 1 leaves them as they are.
        scale: Whether the loss is multiplied by T²; it keeps the gradient's size whatever T.
    """

    temperature: float
    scale: bool = True

    @property
    def factor(self) -> float:
        """T², or 1 without scale."""
        return self.temperature**2 if self.scale else 1.0


def soft_loss(
    student: Tensor,
    teacher: Tensor,
    softening: Softening,
    multi_label: bool,
    label_weights: Tensor | None = None,
) -> Tensor:
    """Returns the loss of a student's logits z_s against its teacher's z_t, a scalar.

    Single-label: T² · KL(softmax(z_t / T) ‖ softmax(z_s / T)), averaged over the batch.
    Multi-label: T² · mean over B·C of a_c · BCE(σ(z_s / T), σ(z_t / T)).

    Reference: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015.
    https://arxiv.org/abs/1503.02531

    Args:
        student: z_s, (B, C).
        teacher: z_t, (B, C); no gradient flows into it.
        softening: T, and whether T² is there.
        multi_label: Which of the two.
        label_weights: a_c, (C,) or None for 1; multi-label only.
    """
    z_s = student.float() / softening.temperature
    z_t = teacher.detach().float() / softening.temperature
    if not multi_label:
        divergence = F.kl_div(
            F.log_softmax(z_s, -1), F.log_softmax(z_t, -1), reduction="batchmean", log_target=True
        )
        return softening.factor * divergence
    losses = F.binary_cross_entropy_with_logits(z_s, torch.sigmoid(z_t), reduction="none")
    return softening.factor * (losses if label_weights is None else losses * label_weights).mean()


def hidden_loss(student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
    """Returns the mean over real positions and channels of (h_s − h_t)².

    Args:
        student: (B, L, H), projected to the teacher's width.
        teacher: (B, L, H).
        mask: (B, L), 1 at real positions; None for all.
    """
    squares = (student.float() - teacher.detach().float()).pow(2).mean(-1)
    return masked_mean(squares, mask)


def attention_mse(student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
    """Returns the mean over pairs of real positions of (A_s − A_t)².

    Args:
        student: Attention averaged over heads, (B, L, L).
        teacher: (B, L, L).
        mask: (B, L), 1 at real positions; None for all.
    """
    squares = (student.float() - teacher.detach().float()).pow(2)
    return masked_mean(squares, None if mask is None else mask[:, :, None] * mask[:, None, :])


def attention_kl(student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
    """Returns the mean over real rows of KL(A_t ‖ A_s); arguments as `attention_mse`."""
    a_s, a_t = student.float().clamp(min=1e-8), teacher.detach().float().clamp(min=1e-8)
    rows = a_t * (a_t.log() - a_s.log())
    if mask is not None:
        rows = rows * mask[:, None, :]
    return masked_mean(rows.sum(-1), mask)


def masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """Returns the mean of values where the mask is 1, or of all without one; the same shapes."""
    if mask is None:
        return values.mean()
    weights = mask.to(values.dtype)
    return (values * weights).sum() / weights.sum()
