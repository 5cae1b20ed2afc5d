"""No pruning."""

from typing import Literal

from torch import Generator

from kdray.pruning.base import Prunable, PruningMethod


class NoPruning(PruningMethod):
    """Remove nothing."""

    method: Literal["none"] = "none"

    def prune(
        self, student: Prunable, generator: Generator, share: float | None = None
    ) -> Prunable:
        """Returns the student as it is."""
        return student
