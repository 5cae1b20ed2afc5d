"""No pruning."""

from typing import Literal

from torch import Generator, nn

from kdray.pruning.base import Pruned, PruningMethod


class NoPruning(PruningMethod):
    """Remove nothing."""

    method: Literal["none"] = "none"

    def prune(self, model: nn.Module, generator: Generator) -> Pruned:
        """Returns the model as it is."""
        return Pruned(model)
