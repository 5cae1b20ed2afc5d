"""What the end of a sweep needs, imported while its last trials run."""

import threading
from contextlib import suppress
from typing import Any

from ray.tune import Callback

from kdray.sweep.not_pickled import NotPickled


class Ahead(NotPickled, Callback):  # type: ignore[misc]  # ray has no types
    """Imports what a report needs as soon as there is a slot without a trial.

    Args:
        busy: How many trials end before that.
    """

    def __init__(self, busy: int) -> None:
        self._busy = busy
        self._loading = threading.Thread(target=_load, name="ahead", daemon=True)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Counts a trial that has ended."""
        if self._busy == 0:
            self._loading.start()
        self._busy -= 1

    on_trial_error = on_trial_complete

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Waits: two threads that import parts of one package get halves of its modules."""
        if self._busy < 0:
            self._loading.join()


def _load() -> None:
    with suppress(Exception):  # the report tells of what it cannot import
        from kdray.reporting.report import get_ready

        get_ready()
