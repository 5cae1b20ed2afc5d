"""The weights of the best epoch of a training."""

import math
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from kdray.config.sections import Training


def best_of(values: Sequence[float | None]) -> int:
    """Returns the place of the first of the highest values; those that are missing are lowest."""
    known = [-math.inf if value is None or math.isnan(value) else value for value in values]
    return known.index(max(known))


class BestEpoch:
    """Keeps a copy of the weights that had the highest value of a metric.

    The first epoch is kept whatever its value, so that there always is one to go back to.

    Attributes:
        epoch: The best epoch so far, from 1; 0 before the first.
        value: Its value of the metric; -∞ where there is none.
        weights: Its weights, as in the model's state dict.
    """

    def __init__(self, metric: str) -> None:
        self.epoch = 0
        self.value = -math.inf
        self.weights: dict[str, Tensor] = {}
        self._metric = metric

    def offer(self, epoch: int, metrics: Mapping[str, float], model: nn.Module) -> None:
        """Copies the model's weights if they are the best so far; ties stay with the earlier."""
        value = metrics.get(self._metric, math.nan)
        if self.epoch and not value > self.value:
            return
        self.epoch = epoch
        self.value = -math.inf if math.isnan(value) else value
        self.weights = {name: t.detach().clone() for name, t in model.state_dict().items()}

    def restore(self, model: nn.Module) -> None:
        """Gives a model the weights of the best epoch."""
        model.load_state_dict(self.weights)


def is_over(best: BestEpoch, epoch: int, options: Training) -> bool:
    """Returns whether early stopping ends a training after an epoch.

    Args:
        best: What was offered so far; before the first offer no training ends.
        epoch: From 1.
        options: With `early_stopping`, or without.
    """
    stopping = options.early_stopping
    return stopping is not None and best.epoch > 0 and epoch - best.epoch >= stopping.patience
