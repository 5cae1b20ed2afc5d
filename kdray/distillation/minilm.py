"""Match how the positions of one layer relate to each other, in queries, keys and values."""

from math import gcd
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from kdray.distillation.base import Match, Shape, SoftTeaching
from kdray.distillation.loss import masked_mean
from kdray.models.outputs import Needs, Outputs

Count = Annotated[int, Field(ge=1)]
USUAL_HEADS = 12
# Added to what is not attended to; its exponential is 0, and differences of it are finite.
_NEVER = -1e30


class MiniLM(SoftTeaching):
    """Match self-attention relations of one layer: MiniLMv2.

    Queries, keys and values are concatenated over heads and split again into R relation heads of
    width :math:`d_R`. With :math:`A = softmax(X X^T / sqrt(d_R))` for X = Q, K and V, it adds the
    mean of the three :math:`KL(A_t || A_s)`, each the mean over relation heads and positions,
    padding left out. Widths and numbers of heads may differ. The student's layer is its last.

    Reference: Wang et al., "MiniLMv2: Multi-Head Self-Attention Relation Distillation for
    Compressing Pretrained Transformers", 2021. https://arxiv.org/abs/2012.15828
    """

    method: Literal["minilm"] = "minilm"
    relation_heads: Literal["auto"] | Count = Field(
        "auto",
        description="R; auto: 12, or the teacher's heads where 12 does not divide both widths, or "
        "the most below 12 that do.",
    )
    teacher_layer: Literal["last"] | Count = Field("last", description="Of the teacher, from 1.")

    def match(self, student: Shape, teacher: Shape) -> Match:
        """Returns the student's last layer and the teacher's, and R.

        Raises:
            ValueError: If the teacher has no such layer, or R does not divide both widths.
        """
        layer = teacher.layers if self.teacher_layer == "last" else self.teacher_layer
        if layer > teacher.layers:
            raise ValueError(
                f"teacher_layer must be at most the teacher's {teacher.layers}, but got {layer}"
            )
        widths = [student.attention_width(student.layers), teacher.attention_width(layer)]
        heads = _relation_heads(self.relation_heads, teacher.heads, gcd(*widths))
        if heads is None:
            raise ValueError(_advice(self.relation_heads, widths))
        return Match({student.layers: layer}, relation_heads=heads)

    def needs(self, layers: frozenset[int]) -> Needs:
        """Returns queries, keys and values of the layer."""
        return super().needs(layers) | Needs(queries_keys_values=layers)

    def extra_terms(self, student: Outputs, teacher: Outputs, match: Match) -> dict[str, Tensor]:
        """Returns the term `relations`."""
        ((own, its),) = match.pairs.items()
        pairs = zip(
            student.queries_keys_values[own].unbind(2),
            teacher.queries_keys_values[its].unbind(2),
            strict=True,
        )
        losses = [relation_loss(s, t, match.relation_heads, student.mask) for s, t in pairs]
        term = torch.stack(losses).mean()
        return super().extra_terms(student, teacher, match) | {"relations": term}


def relation_loss(student: Tensor, teacher: Tensor, heads: int, mask: Tensor | None) -> Tensor:
    """Returns the mean over relation heads and real positions of KL(A_t ‖ A_s), from 0 on.

    A = softmax(X Xᵀ / √d_R) over the real positions, with d_R the width divided by R.

    Args:
        student: X_s, (B, L, H_s).
        teacher: X_t, (B, L, H_t); no gradient flows into it.
        heads: R; it divides both widths.
        mask: (B, L), 1 at real positions; None for all.
    """
    a_s, a_t = (_log_relations(x, heads, mask) for x in (student, teacher.detach()))
    rows = F.kl_div(a_s, a_t, reduction="none", log_target=True).sum(-1)
    return masked_mean(rows.mean(1), mask)


def _log_relations(x: Tensor, heads: int, mask: Tensor | None) -> Tensor:
    """Returns log A, (B, R, L, L); never in half precision."""
    with torch.autocast(x.device.type, enabled=False):
        split = x.float().reshape(*x.shape[:2], heads, -1).transpose(1, 2)
        scores: Tensor = split @ split.mT / split.shape[-1] ** 0.5
        if mask is not None:
            scores = scores.masked_fill(mask[:, None, None, :] == 0, _NEVER)
        return scores.log_softmax(-1)


def _relation_heads(option: Literal["auto"] | int, heads: int | None, common: int) -> int | None:
    """Returns R, or None where it does not divide the greatest common divisor of the widths."""
    fewer = range(USUAL_HEADS - 1, 0, -1)
    wanted = [USUAL_HEADS, heads or 1, *fewer] if option == "auto" else [option]
    return next((count for count in wanted if common % count == 0), None)


def _advice(option: Literal["auto"] | int, widths: list[int]) -> str:
    common = gcd(*widths)
    could = ", ".join(str(count) for count in range(1, common + 1) if common % count == 0)
    return (
        f"relation_heads must divide both widths, {widths[0]} of the student and {widths[1]} of "
        f"the teacher, but got {option}; it could be {could}"
    )
