"""Random pruning, the control of every other method."""

from typing import Literal

import torch
from torch import Generator, Tensor

from kdray.pruning.masking import MaskPruning


class Random(MaskPruning):
    """Remove weights at random: what a criterion must beat to be worth anything.

    Importance of a weight: uniform in [0, 1), from the trial's seed.
    """

    method: Literal["random"] = "random"

    def importance(self, weight: Tensor, generator: Generator) -> Tensor:
        """Returns a random number for each weight, the same on every device."""
        return torch.rand(weight.shape, generator=generator).to(weight.device)
