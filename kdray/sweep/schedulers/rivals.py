"""The trials of a sweep as rivals: what each has reported, and who waits to go on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kdray.config.search import Median, ParetoAsha
from kdray.evaluation.metrics import fixed_bounds
from kdray.reporting.reading import read_verification
from kdray.results.feasibility import Bounds, is_feasible
from kdray.results.folder import SweepFolder
from kdray.results.records import EpochReport
from kdray.schema import SweepConfig
from kdray.sweep.schedulers.history import Criteria, criteria_of, past
from kdray.sweep.schedulers.standings import Standings

# What a rule says of a trial after its last report. One that waits keeps its checkpoint.
Verdict = Literal["goes on", "waits", "stops"]


@dataclass
class Rivals:
    """What the rules know of a sweep's trials; it grows with every report.

    Attributes:
        options: The rule, with its options.
        criteria: What trials are compared in.
        bounds: Those of the constraints that are known before a trial's training.
        trials: How many the sweep has.
        history: The reports of each trial that keeps to the bounds, epoch by epoch, and what each
            was worth after each epoch.
        waiting: What the search drew for each trial that waits at a rung, by its id.
        worked_s: Seconds of work of each trial at its last report; not of one that was cut off.
    """

    options: Median | ParetoAsha
    criteria: Criteria
    bounds: Bounds
    trials: int
    history: Standings
    waiting: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    worked_s: dict[str, float] = field(default_factory=dict)

    def compares(self, report: EpochReport) -> bool:
        """Returns whether others are compared with a trial that reports this."""
        return report.rising or is_feasible(report.metrics, self.bounds)


def rivals_of(config: SweepConfig, folder: SweepFolder, trials: int) -> Rivals | None:
    """Returns what is known of a sweep that begins or goes on; None if it stops no trial early.

    Args:
        config: The sweep.
        folder: Its folder, with `teacher/verification.json` and the trials that are there.
        trials: How many the sweep has.
    """
    options = config.search.scheduler
    if not isinstance(options, Median | ParetoAsha):
        return None
    # Of trials that were cut off, on whatever machine they ran.
    folder.fetch(folder.root / "checkpoints")
    criteria = criteria_of(config.objectives, read_verification(folder))
    rivals = Rivals(
        options, criteria, fixed_bounds(config.constraints), trials, Standings(criteria)
    )
    for trial_id, reports in past(folder).items():
        if all(map(rivals.compares, reports)):
            rivals.history[trial_id] = reports
    return rivals
