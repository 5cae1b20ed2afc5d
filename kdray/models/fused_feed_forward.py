"""What follows the attention in a layer of BERT, forwards and backwards.

Part of `fused_layer`.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Joining(NamedTuple):
    """Weight W and bias b of a linear layer, and weight and bias of the norm behind it."""

    weight: Tensor
    bias: Tensor
    scale: Tensor
    shift: Tensor


class Joined(NamedTuple):
    """What the backward pass of a residual and a norm needs.

    Attributes:
        inner: X.
        total: What is normed.
        mean: Of each row of it.
        inverse: One over its standard deviation.
        factors: Of dropout; None without.
    """

    inner: Tensor
    total: Tensor
    mean: Tensor
    inverse: Tensor
    factors: Tensor | None


def join_forward(
    inner: Tensor, residual: Tensor, parameters: Joining, factors: Tensor | None, eps: float
) -> tuple[Tensor, Joined]:
    """Returns LayerNorm(dropout(X Wᵀ + b) + R), and what the backward pass needs.

    Reference: Ba et al., "Layer Normalization", 2016. https://arxiv.org/abs/1607.06450

    Args:
        inner: X, (rows, inner width).
        residual: R, (rows, width).
        parameters: Of the linear layer and the norm.
        factors: What dropout multiplies with, (rows, width); None without dropout.
        eps: Of the norm.
    """
    total = torch.addmm(parameters.bias, inner, parameters.weight.t())
    total = total.add_(residual) if factors is None else torch.addcmul(residual, total, factors)
    output, mean, inverse = torch.native_layer_norm(
        total, [total.shape[1]], parameters.scale, parameters.shift, eps
    )
    return output, Joined(inner, total, mean, inverse, factors)


def join_backward(
    gradient: Tensor, joined: Joined, parameters: Joining
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Returns the gradients of X and R, (rows, width) each, and of the parameters."""
    inner, total, mean, inverse, factors = joined
    residual, scale, shift = torch.ops.aten.native_layer_norm_backward(
        gradient,
        total,
        [total.shape[1]],
        mean,
        inverse,
        parameters.scale,
        parameters.shift,
        [True, True, True],
    )
    change = residual if factors is None else residual * factors
    weight, bias = torch.mm(change.t(), inner), change.sum(0)
    return torch.mm(change, parameters.weight), residual, (weight, bias, scale, shift)


class Widened(NamedTuple):
    """What the backward pass of a feed-forward network needs besides what joins it.

    Attributes:
        rows: X.
        wide: What GELU is given.
    """

    rows: Tensor
    wide: Tensor


def feed_forward(
    rows: Tensor,
    up: tuple[Tensor, Tensor],
    down: Joining,
    factors: Tensor | None,
    eps: float,
) -> tuple[Tensor, Widened, Joined]:
    """Returns LayerNorm(dropout(GELU(X Uᵀ + c) Wᵀ + b) + X), and what its backward pass needs.

    Reference: Hendrycks and Gimpel, "Gaussian Error Linear Units (GELUs)", 2016.
    https://arxiv.org/abs/1606.08415

    Args:
        rows: X, (rows, width).
        up: U and c.
        down: W, b and the norm.
        factors: As in `join_forward`.
        eps: Of the norm.
    """
    wide = torch.addmm(up[1], rows, up[0].t())
    output, joined = join_forward(nn.functional.gelu(wide), rows, down, factors, eps)
    return output, Widened(rows, wide), joined


def feed_backward(
    gradient: Tensor, widened: Widened, joined: Joined, up: Tensor, down: Joining
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Returns the gradient of X, and those of the parameters: U, c, W, b and the norm's."""
    inner, residual, others = join_backward(gradient, joined, down)
    wide = torch.ops.aten.gelu_backward(inner, widened.wide)
    of_up = torch.mm(wide.t(), widened.rows), wide.sum(0)
    return torch.addmm(residual, wide, up), (*of_up, *others)
