"""Trials written by hand: what they reported, and what they are compared in."""

from collections.abc import Mapping, Sequence
from typing import Any

from kdray.results.records import EpochReport
from kdray.sweep.schedulers.history import Criteria
from kdray.sweep.schedulers.rivals import Rivals
from kdray.sweep.schedulers.standings import Standings

CRITERIA = Criteria({"macro_f1": "maximize", "size_mb": "minimize"}, "macro_f1", {"macro_f1": 0.3})


def reports(
    scores: Sequence[float], size_mb: float, epochs: int = 9, **metrics: float
) -> list[EpochReport]:
    """The reports of a trial whose macro-F1 went like this, epoch by epoch."""
    return [
        EpochReport(n, epochs, {"macro_f1": score, "size_mb": size_mb, **metrics}, {}, 1.0)
        for n, score in enumerate(scores, 1)
    ]


def rivals(
    options: Any,
    history: Mapping[str, Sequence[EpochReport]],
    waiting: Sequence[str] = (),
    trials: int = 100,
    criteria: Criteria = CRITERIA,
) -> Rivals:
    """A sweep's trials with these reports, of which some wait."""
    reported = Standings(criteria, history)
    drawn = {trial_id: {"trial_id": trial_id} for trial_id in waiting}
    return Rivals(options, criteria, {}, trials, reported, drawn)
