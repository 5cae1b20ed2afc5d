"""How far a trial has come, and where that is kept."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from kdray.models.building import ModelState
from kdray.results.records import EpochReport
from kdray.training.best import BestEpoch

OnEpoch = Callable[[EpochReport], None]


def ignore(report: EpochReport) -> None:
    """Takes the report of an epoch, for nobody."""


def never(report: EpochReport) -> bool:
    """Returns no, whatever an epoch reports."""
    return False


class Beside(Protocol):
    """Something that changes with the student, and whose state is kept with it."""

    def tensors(self) -> dict[str, Tensor]:
        """Returns the tensors that steps change."""

    def numbers(self) -> dict[str, Any]:
        """Returns what steps change besides, for JSON."""

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Goes back to what `tensors` and `numbers` returned."""


@dataclass(frozen=True)
class Checkpoints:
    """Where the state of a trial is kept, and how often it is written.

    Attributes:
        folder: Of this trial alone; it need not be there.
        interval_s: Least seconds between two writes, and before the first; 0: after each epoch.
        may_wait: Whether a trial may be made to wait after an epoch, to go on from here.
    """

    folder: Path
    interval_s: float
    may_wait: Callable[[EpochReport], bool] = never


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
        reshaped: Whether the model was cut since its training began.
        generation: Which of the trainings that follow each other this is; 0 is the first.
        before: Epochs of the generations before this one, as many as they did.
        teacher: The former student who teaches this generation; None for the sweep's teacher.
        beside: What changes with the student of this generation, by name.
        chosen: Which of the students that train side by side was the best one; 0 is the first.
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
    generation: int = 0
    before: int = 0
    teacher: ModelState | None = None
    beside: Mapping[str, Beside] = field(default_factory=dict)
    chosen: int = 0
    started: float = field(default_factory=time.perf_counter)

    @property
    def duration_s(self) -> float:
        """Seconds of work so far, those before it was cut off included."""
        return self.earlier_s + time.perf_counter() - self.started
