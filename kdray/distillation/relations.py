"""Relations between the examples of a batch, from their features (B, H), in float32.

Where a batch is done in parts because memory ran out, a relation reaches no further than its part.
"""

import torch
from torch import Tensor

from kdray.distillation.base import SoftTeaching
from kdray.models.outputs import Needs, Outputs


class RelationTeaching(SoftTeaching):
    """A method that compares relations between pooled features."""

    def needs(self, layers: frozenset[int]) -> Needs:
        """Returns the pooled features."""
        return super().needs(layers) | Needs(features=True)


def features_of(outputs: Outputs) -> Tensor:
    """Returns the pooled features, (B, H).

    Raises:
        RuntimeError: If nobody asked the model for them.
    """
    if outputs.features is None:
        raise RuntimeError("the pooled features were not asked for")
    return outputs.features


def differences(features: Tensor) -> Tensor:
    """Returns x_i − x_j at [i, j], (B, B, H)."""
    wide = features.float()
    return wide[:, None] - wide[None, :]


def unit(vectors: Tensor) -> Tensor:
    """Returns vectors divided by their L2 norm, along the last axis.

    A vector of zeros stays, and so its gradient is finite.
    """
    return vectors / _or_one(torch.linalg.vector_norm(vectors, dim=-1, keepdim=True))


def inner_products(vectors: Tensor) -> Tensor:
    """Returns x_i · x_j at [..., i, j], (..., B, B), from (..., B, H); never in half precision."""
    with torch.autocast(vectors.device.type, enabled=False):
        wide = vectors.float()
        return wide @ wide.mT


def by_mean(values: Tensor, count: int) -> Tensor:
    """Returns values from 0 on divided by their mean, which is taken over `count` of them.

    Zeros alone stay zeros.
    """
    return values / _or_one(values.sum() / max(count, 1))


def _or_one(values: Tensor) -> Tensor:
    """Returns values from 0 on with 1 in place of 0, to divide by."""
    return torch.where(values > 0, values, 1.0)
