"""Magnitude pruning."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field
from torch import Generator, Tensor

from kdray.pruning.masking import MaskPruning, lowest_removed


class Magnitude(MaskPruning):
    """Remove the weights of smallest absolute value.

    Importance of a weight: :math:`|w|`.

    Reference: Han et al., "Learning both Weights and Connections for Efficient Neural Networks",
    2015. https://arxiv.org/abs/1506.02626
    """

    method: Literal["magnitude"] = "magnitude"
    scope: Literal["global", "layer"] = Field(
        "global", description="Compare all weights with each other, or only within a matrix."
    )

    def importance(self, weight: Tensor, generator: Generator) -> Tensor:
        """Returns :math:`|w|`."""
        return weight.abs()

    def masks(self, scores: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
        """Returns masks over all weights together, or matrix by matrix."""
        if self.scope == "global":
            return lowest_removed(scores, share)
        parts = [lowest_removed({name: score}, share) for name, score in scores.items()]
        return {name: mask for part in parts for name, mask in part.items()}
