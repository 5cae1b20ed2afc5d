"""The self-attention of BERT and its kin, forwards and backwards.

Part of `fused_layer`.
"""

from typing import NamedTuple

import torch
from torch import Tensor

# What torch's softmax in bfloat16 reads at once: rows that do not fill it are slow. Of short ones
# the conversion takes longer.
_VECTOR, _SHORT = 32, 16


class Head(NamedTuple):
    """One head of an attention: its width, and the scaling of its scores, usually 1 / √width."""

    width: int
    scaling: float


class Attended(NamedTuple):
    """What the backward pass of an attention needs.

    Attributes:
        parts: Q, K and V, (3, batch · heads, positions, width of a head).
        weights: A, (batch · heads, positions, positions).
        factors: Of dropout, in the shape of the weights; None without dropout.
    """

    parts: Tensor
    weights: Tensor
    factors: Tensor | None


def attend_forward(
    states: Tensor,
    mask: Tensor | None,
    projections: tuple[Tensor, Tensor],
    head: Head,
    factors: Tensor | None,
) -> tuple[Tensor, Attended]:
    """Returns dropout(A) V with A = softmax(Q Kᵀ · scaling + mask).

    Q, K and V are one product of the states.

    Reference: Vaswani et al., "Attention Is All You Need", 2017. https://arxiv.org/abs/1706.03762

    Args:
        states: (batch, positions, width of the layer).
        mask: Added to the scores, (batch, 1, 1 or positions, positions); None where all may be
            attended to.
        projections: Weights of Q, K and V end to end, and their biases.
        head: What each is.
        factors: What dropout multiplies A with, (batch · heads, positions, positions); None
            without dropout.

    Returns:
        (batch · positions, heads · width), and what the backward pass needs.
    """
    batch, positions, _ = states.shape
    rows = states.reshape(batch * positions, -1)
    projected = torch.addmm(projections[1], rows, projections[0].t())
    split = projected.view(batch, positions, 3, -1, head.width).permute(2, 0, 3, 1, 4)
    heads = split.shape[2]
    parts = split.reshape(3, batch * heads, positions, head.width)
    query, key, value = parts.unbind()
    added = _by_head(mask, heads, states)
    scores = torch.baddbmm(added, query, key.transpose(1, 2), alpha=head.scaling)
    slow = positions >= _SHORT and positions % _VECTOR
    weights = torch.softmax(scores.float() if slow else scores, -1)
    kept = weights.to(scores.dtype)
    context = torch.bmm(kept if factors is None else kept * factors, value)
    joined = context.view(batch, heads, positions, head.width).transpose(1, 2)
    return joined.reshape(len(rows), -1), Attended(parts, weights, factors)


def attend_backward(
    joined: Tensor, attention: Tensor | None, attended: Attended, head: Head
) -> Tensor:
    """Returns the gradient of the projected states, (batch · positions, 3 · heads · width).

    With D the factors of dropout and G the gradient of the result, heads apart:

        dV = (A ∘ D)ᵀ G,  dA = (G Vᵀ) ∘ D,  dS = A ∘ (dA − Σ dA ∘ A),  dQ = dS K,  dK = dSᵀ Q

    where S are the scores, each dS times the scaling.

    Args:
        joined: G, (batch · positions, heads · width).
        attention: Gradient of A from elsewhere, in its shape; None if there is none.
        attended: From `attend_forward`.
        head: As there.
    """
    parts, weights, factors = attended
    query, key, value = parts.unbind()
    _, positions, width = query.shape
    heads = joined.shape[1] // width
    context = joined.view(-1, positions, heads, width).transpose(1, 2).reshape(query.shape)
    kept = weights.to(context.dtype)
    if factors is not None:
        kept = kept * factors
    gradient = torch.empty_like(parts)
    of_query, of_key, of_value = gradient.unbind()
    torch.bmm(kept.transpose(1, 2), context, out=of_value)
    change = torch.bmm(context, value.transpose(1, 2))
    if factors is not None:
        change.mul_(factors)
    change = change.to(weights.dtype)
    if attention is not None:
        change.add_(attention.reshape(change.shape))
    scores = torch.ops.aten._softmax_backward_data(change, weights, -1, weights.dtype)
    scores = scores.mul_(head.scaling).to(context.dtype)
    torch.bmm(scores, key, out=of_query)
    torch.bmm(scores.transpose(1, 2), query, out=of_key)
    split = gradient.view(3, -1, heads, positions, width).permute(1, 3, 0, 2, 4)
    return split.reshape(len(joined), -1)


def _by_head(mask: Tensor | None, heads: int, states: Tensor) -> Tensor:
    """Returns a mask that can be added to the scores of all heads."""
    if mask is None:
        return states.new_zeros(1)
    batch, positions = states.shape[:2]
    spread = mask.to(states.dtype).expand(batch, heads, mask.shape[2], positions)
    return spread.reshape(batch * heads, mask.shape[2], positions)


def end_to_end(*tensors: Tensor) -> Tensor:
    """Returns tensors of one shape joined in their first dimension; a view if they lie so."""
    first, size = tensors[0], tensors[0].numel() * tensors[0].element_size()
    places = [one.data_ptr() - index * size for index, one in enumerate(tensors)]
    same = first.untyped_storage().data_ptr() == tensors[-1].untyped_storage().data_ptr()
    if not same or len(set(places)) > 1 or not all(one.is_contiguous() for one in tensors):
        return torch.cat(tensors)
    shape = (len(tensors) * first.shape[0], *first.shape[1:])
    return first.as_strided(shape, first.stride())
