"""A layer of BERT and its kin, forwards and backwards, as one operation.

A small student's step on a CPU is mostly the cost of calling operations, and of autograd's record
of them. Written out, a layer takes half as many.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kdray.models.dropout import dropout_factors
from kdray.models.fused_attention import (
    Attended,
    Head,
    attend_backward,
    attend_forward,
    end_to_end,
)
from kdray.models.fused_feed_forward import (
    Joined,
    Joining,
    Widened,
    feed_backward,
    feed_forward,
    join_backward,
    join_forward,
)


class Settings(NamedTuple):
    """What a layer is besides its weights.

    Attributes:
        head: Each of the attention.
        dropout: Probabilities that dropout drops an attention weight, a value before the norm
            behind the attention, and one before the last norm.
        eps: ε of both norms.
        first_only: Whether what follows the attention is computed for the first position alone.
    """

    head: Head
    dropout: tuple[float, float, float]
    eps: tuple[float, float]
    first_only: bool


class FusedLayer(torch.autograd.Function):
    """A layer of BERT: self-attention and feed-forward network, each with a residual and a norm.

    Reference: Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language
    Understanding", 2019. https://arxiv.org/abs/1810.04805
    """

    @staticmethod
    def forward(
        ctx: Any, states: Tensor, mask: Tensor | None, settings: Settings, *weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns the layer's output, and the attention weights before dropout.

        Args:
            ctx: Takes what the backward pass needs.
            states: (batch, positions, width).
            mask: Added to the scores, (batch, 1, 1 or positions, positions), or None.
            settings: What the layer is besides its weights.
            weights: Of queries, keys and values, and their biases; of the linear layer behind them
                and its norm, each weight and bias; of the two linear layers of the feed-forward
                network and its norm.

        Returns:
            (batch, positions, width), and (batch, heads, positions, positions).
        """
        batch, positions, width = states.shape
        projections = end_to_end(*weights[:3]), end_to_end(*weights[3:6])
        after, up, down = (
            Joining(*weights[6:10]),
            (weights[10], weights[11]),
            Joining(*weights[12:]),
        )
        heads = weights[0].shape[0] // settings.head.width
        drop = settings.dropout
        spread = states.new_empty(batch * heads, positions, positions)
        context, attended = attend_forward(
            states, mask, projections, settings.head, _factors(spread, drop[0])
        )
        rows = residual = states.reshape(batch * positions, width)
        if settings.first_only:
            context, residual = context.view(batch, positions, -1)[:, 0], states[:, 0]
        factors = _factors(residual, drop[1])
        hidden, joined = join_forward(context, residual, after, factors, settings.eps[0])
        factors = _factors(residual, drop[2])
        output, widened, last = feed_forward(hidden, up, down, factors, settings.eps[1])
        ctx.set_materialize_grads(False)
        ctx.settings, ctx.shape = settings, (batch, positions)
        ctx.save_for_backward(
            rows, projections[0], up[0], *after, *down, *attended, *joined, *widened, *last
        )
        weighted = attended.weights.view(batch, heads, positions, positions)
        return output.view(batch, -1, width), weighted

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor | None, attention: Tensor | None) -> Any:
        """Returns the gradients of the states and the weights."""
        rows, projection, up, *saved = ctx.saved_tensors
        after, down, attended = Joining(*saved[:4]), Joining(*saved[4:8]), Attended(*saved[8:11])
        joined, widened, last = Joined(*saved[11:16]), Widened(*saved[16:18]), Joined(*saved[18:])
        batch, positions = ctx.shape
        if gradient is None:
            gradient = torch.zeros_like(last.total)
        by_row = gradient.reshape(last.total.shape)
        hidden, of_network = feed_backward(by_row, widened, last, up, down)
        context, residual, of_joining = join_backward(hidden, joined, after)
        if ctx.settings.first_only:
            context, residual = (_spread(part, positions) for part in (context, residual))
        projected = attend_backward(context, attention, attended, ctx.settings.head)
        states = torch.addmm(residual, projected, projection).view(batch, positions, -1)
        of_weights = torch.mm(projected.t(), rows).chunk(3)
        of_biases = projected.sum(0).chunk(3)
        return states, None, None, *of_weights, *of_biases, *of_joining, *of_network


def _factors(like: Tensor, p: float) -> Tensor | None:
    return dropout_factors(like, p) if p else None


def _spread(first: Tensor, positions: int) -> Tensor:
    """Returns rows of the first positions among rows of all, which are 0."""
    spread = first.new_zeros(len(first), positions, first.shape[1])
    spread[:, 0] = first
    return spread.view(-1, first.shape[1])
