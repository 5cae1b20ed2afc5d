"""How far a trial has come, and where that is kept."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kdray.results.records import EpochReport
from kdray.training.best import BestEpoch

OnEpoch = Callable[[EpochReport], None]


def ignore(report: EpochReport) -> None:
    """Takes the report of an epoch, for nobody."""


@dataclass(frozen=True)
class Checkpoints:
    """Where the state of a trial is kept, and how often it is written.

    Attributes:
        folder: Of this trial alone; it need not be there.
        interval_s: Least seconds between two writes, and before the first; 0: after each epoch.
    """

    folder: Path
    interval_s: float


@dataclass
class Course:
    """What a trial has to show so far; it grows from epoch to epoch.

    Attributes:
        identity: Tells the trial from every other: what it is made from.
        best: Its best epoch.
        on_epoch: Takes the report of each epoch; what it raises ends the trial.
        checkpoints: Where its state is kept; None for nowhere.
        epochs: The reports of the epochs that are done.
        earlier_s: Seconds that it took before it was cut off, up to its last checkpoint.
        kept_s: Seconds of work at the last checkpoint; 0 before the first.
        reshaped: Whether the model was cut since the training began.
        started: When it was begun or gone on with, on the clock of `time.perf_counter`.
    """

    identity: str
    best: BestEpoch
    on_epoch: OnEpoch = ignore
    checkpoints: Checkpoints | None = None
    epochs: list[EpochReport] = field(default_factory=list)
    earlier_s: float = 0.0
    kept_s: float = 0.0
    reshaped: bool = False
    started: float = field(default_factory=time.perf_counter)

    @property
    def duration_s(self) -> float:
        """Seconds of work so far, those before it was cut off included."""
        return self.earlier_s + time.perf_counter() - self.started
