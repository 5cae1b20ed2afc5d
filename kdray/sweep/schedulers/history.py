"""What the rules know of a sweep: the epochs that its trials have reported.

It is read back from the trial folders, so a sweep that goes on decides as if never interrupted.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdray.config.sections import Direction
from kdray.evaluation.metrics import selection_metric
from kdray.reporting.objectives import objective, reference_point
from kdray.results.folder import SweepFolder
from kdray.results.records import EpochReport
from kdray.training.checkpoint import kept_epochs
from kdray.training.course import Checkpoints

# The reports of each trial by its id, epoch by epoch.
History = Mapping[str, Sequence[EpochReport]]


@dataclass(frozen=True)
class Criteria:
    """What trials are compared in.

    Attributes:
        objectives: Direction of each objective.
        selection_metric: The metric that selects a trial's best epoch.
        reference: The value of each objective of quality that the best constant answer reaches.
    """

    objectives: Mapping[str, Direction]
    selection_metric: str
    reference: Mapping[str, float]

    def reported_in(self, report: EpochReport) -> dict[str, Direction]:
        """Returns the objectives that a report holds; latency, for one, comes after training."""
        return {name: way for name, way in self.objectives.items() if name in report.metrics}


def criteria_of(objectives: Mapping[str, Direction], verification: Mapping[str, Any]) -> Criteria:
    """Returns what the trials of a sweep are compared in.

    Args:
        objectives: Direction of each objective.
        verification: What is in `teacher/verification.json`.
    """
    quality = {name: way for name, way in objectives.items() if objective(name).kind == "quality"}
    reference = reference_point(quality, verification)
    return Criteria(objectives, selection_metric(dict(objectives)), reference)


def past(folder: SweepFolder) -> dict[str, list[EpochReport]]:
    """Returns the reports of every trial on disk that did not fail.

    Of one that was cut off those up to its checkpoint, from which it goes on.
    """
    ended = {result.trial_id: result.status for result in folder.results()}
    reports = {
        trial_id: folder.epochs(trial_id)
        for trial_id, status in ended.items()
        if status != "failed"
    }
    for state in (folder.root / "checkpoints").glob("[!.]*"):
        own = state.name.isdecimal()  # not a confirmation's
        if own and state.name not in ended and (epochs := kept_epochs(Checkpoints(state, 0.0))):
            reports[state.name] = epochs
    return reports


def best_epoch(reports: Sequence[EpochReport], metric: str) -> EpochReport:
    """Returns the epoch whose weights would be kept: the first of those with the highest value.

    Epochs in which pruning went on do not count, unless there is no other.
    """

    def value(report: EpochReport) -> tuple[bool, float]:
        found = report.metrics.get(metric, math.nan)
        return not report.rising, -math.inf if math.isnan(found) else found

    return max(reports, key=value)
