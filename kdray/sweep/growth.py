"""As many trials side by side as fit, also on nodes that join or leave a cluster meanwhile."""

import time
from typing import Any

from ray.tune import Callback
from ray.tune.search import ConcurrencyLimiter

from kdray.sweep.not_pickled import NotPickled
from kdray.sweep.resources import Slot, alive_nodes, fitting

EVERY_S = 5.0


class Growth(NotPickled, Callback):  # type: ignore[misc]  # ray has no types
    """Looks every few seconds at what the cluster has, and lets as many trials run.

    Args:
        limiter: What holds trials back.
        slot: Resources of a trial, and the most there may be.
    """

    def __init__(self, limiter: ConcurrencyLimiter, slot: Slot) -> None:
        self._limiter = limiter
        self._slot = slot
        self._looked = time.monotonic()

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Sets how many trials may run side by side; at least one, which waits for a node."""
        if time.monotonic() - self._looked >= EVERY_S:
            self._looked = time.monotonic()
            fit = fitting(self._slot.cpus, self._slot.gpus, alive_nodes())
            self._limiter.max_concurrent = max(1, min(fit, self._slot.most or fit))
