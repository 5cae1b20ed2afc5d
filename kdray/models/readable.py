"""An attention that can be read: its weights as they are before dropout.

The `eager` attention of transformers returns what is left of the weights after dropout. Compared
with a teacher's, that is mostly noise: a student that is its own teacher would have a loss.

In plain families it is also the faster one for training on a CPU, where torch's fused attention
knows no dropout.
"""

import sys
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from kdray.models.dropout import dropout_factors

READABLE = "kdray_readable"
# Their attention is that of the paper. Others group their heads, cap their scores or add a bias.
PLAIN = ("bert", "roberta", "xlm_roberta", "camembert", "electra", "distilbert", "albert", "vit")


def register() -> None:
    """Makes the attention known to transformers under its name; again does nothing."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(READABLE, _attend)
    AttentionMaskInterface.register(READABLE, _mask)


def is_plain(module: object, families: Collection[str] = PLAIN) -> bool:
    """Returns whether a module belongs to a family whose attention is `attend`, or to one of some.

    Args:
        module: Of transformers, or any other.
        families: As transformers names them.
    """
    parts = type(module).__module__.split(".")
    return len(parts) > 1 and parts[-2] in families


def _mask(**described: Any) -> Tensor | None:
    """Returns what is added to scores; of padding alone one row an example, not one a position."""
    from transformers.masking_utils import bidirectional_mask_function, eager_mask

    real = described["attention_mask"]
    if real is None or described["mask_function"] is not bidirectional_mask_function:
        mask: Tensor | None = eager_mask(**described)
        return mask
    dtype = described["dtype"]
    zero = torch.zeros((), dtype=dtype, device=real.device)
    return torch.where(real[:, None, None, :], zero, torch.finfo(dtype).min)


def _attend(module: nn.Module, *inputs: Tensor | None, **settings: Any) -> tuple[Tensor, Tensor]:
    if is_plain(module):
        return attend(module, *inputs, **settings)  # type: ignore[arg-type]  # as families pass it
    eager = sys.modules[type(module).__module__].eager_attention_forward
    dropout = settings.pop("dropout", 0.0)
    output, weights = eager(module, *inputs, dropout=0.0, **settings)
    if dropout and module.training:
        output, _ = eager(module, *inputs, dropout=dropout, **settings)
    return output, weights


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    **settings: Any,
) -> tuple[Tensor, Tensor]:
    """Returns dropout(A) V, and A = softmax(Q Kᵀ · scaling + mask), before dropout.

    Reference: Vaswani et al., "Attention Is All You Need", 2017. https://arxiv.org/abs/1706.03762

    Args:
        module: The attention's module; it tells whether this is training.
        query: Q, (batch, heads, positions, width of a head).
        key: K, in the same shape.
        value: V, in the same shape.
        attention_mask: Added to the scores, 0 or very negative; None where all may be attended to.
        settings: `scaling`, 1 / √(width of a head) if None; `dropout`, the probability that a
            weight is dropped while training; what else families pass means nothing here.

    Returns:
        (batch, positions, heads, width of a head), and (batch, heads, positions, positions).
    """
    scaling, dropout = settings.get("scaling"), settings.get("dropout", 0.0)
    scores = torch.matmul(query * (scaling or query.shape[-1] ** -0.5), key.transpose(2, 3))
    weights = torch.softmax(scores if attention_mask is None else scores + attention_mask, -1)
    kept = weights
    if dropout and module.training:
        kept = weights * _factors(weights, dropout)
    return torch.matmul(kept, value).transpose(1, 2).contiguous(), weights


def _factors(weights: Tensor, dropout: float) -> Tensor:
    if weights.is_cpu:
        return dropout_factors(weights, dropout)
    return nn.functional.dropout(torch.ones_like(weights), dropout)
