"""Magnitude pruning."""

from typing import Literal

from torch import Generator, Tensor

from kdray.pruning.masking import ScopedPruning


class Magnitude(ScopedPruning):
    """Remove the weights of smallest absolute value.

    Importance of a weight: :math:`|w|`.

    Reference: Han et al., "Learning both Weights and Connections for Efficient Neural Networks",
    2015. https://arxiv.org/abs/1506.02626
    """

    method: Literal["magnitude"] = "magnitude"

    def importance(self, weight: Tensor, generator: Generator) -> Tensor:
        """Returns :math:`|w|`."""
        return weight.abs()
