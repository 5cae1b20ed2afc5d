"""The records of a trial: frozen values, one JSON line each."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

Status = Literal["completed", "stopped_early", "failed"]
Stage = Literal["verify", "prune", "distil", "evaluate"]

# In `EpochReport.training`, where the teacher was run in the loop.
TEACHER_EXAMPLES = "teacher_forward_examples"
# There too: what the name of a term follows.
LOSS_SHARE, GRADIENT_SHARE = SHARES = ("loss_share_", "gradient_share_")
# There too, where memory ran out and a batch was computed in parts.
MICRO_BATCH_SIZE = "micro_batch_size"


class _JsonLine:
    def to_json(self) -> str:
        """Returns the record as one line of JSON."""
        return json.dumps(vars(self), ensure_ascii=False, default=_plain)

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Returns the record that `to_json` wrote."""
        return cls(**json.loads(line))


@dataclass(frozen=True)
class EpochReport(_JsonLine):
    """What is known of a trial after one epoch of distillation.

    Attributes:
        epoch: Epochs done, from 1.
        epochs: Epochs planned, fewer once an earlier generation has ended early; in the last
            report of a trial that early stopping ends, those done.
        metrics: Validation metrics of the student, and its sizes.
        training: Mean loss, learning rate, the share of each loss term, how many examples the
            teacher was run on in the loop, if it was (`teacher_forward_examples`), and how many
            were trained on at once, if a batch was too large (`micro_batch_size`).
        duration_s: Seconds that the epoch took.
        rising: Whether pruning, a stage of hints alone, or an earlier generation still went on:
            such an epoch is not selected, and no trial is stopped for it.
        before: Epochs of earlier generations and of hints alone: rungs count those after them.
    """

    epoch: int
    epochs: int
    metrics: Mapping[str, float]
    training: Mapping[str, float]
    duration_s: float
    rising: bool = False
    before: int = 0

    @property
    def shares(self) -> dict[str, float]:
        """The share of each term in the loss, and in the norms of the terms' gradients."""
        return {name: it for name, it in self.training.items() if name.startswith(SHARES)}

    @property
    def counted(self) -> int:
        """Epochs done that rungs count; 0 or less while none is."""
        return self.epoch - self.before

    @property
    def to_count(self) -> int:
        """Epochs planned that rungs count."""
        return self.epochs - self.before


@dataclass(frozen=True)
class TrialResult(_JsonLine):
    """How a trial ended.

    Attributes:
        trial_id: Four digits or more, unique in the sweep.
        status: `completed`, `stopped_early` (by the scheduler) or `failed`.
        stage: Where a failed trial failed; None for the others.
        error: Why it failed, in one line.
        parameters: Every drawn value by its dotted name.
        metrics: Validation metrics of the selected epoch, sizes and speed, test metrics with the
            prefix `test_`, and what each term of the loss contributed in that epoch
            (`loss_share_hard`, `gradient_share_hard`). Empty for a failed trial.
        epochs: Epochs done.
        selected_epoch: The epoch whose weights were kept, 0 if none was.
        duration_s: Seconds from the start of the trial to its end.
        ended_at: When it ended, in UTC as in 2026-11-22T21:10:17.042+00:00; None in results of
            older versions.
        stage_s: Seconds that each stage of a completed trial took, in the process that ended it.
        teacher_forward_examples: Examples that the teacher was run on in the trial's loop.
        micro_batch_size: Examples that were trained on at once, where a batch was too large for
            the memory; else None.
    """

    trial_id: str
    status: Status
    parameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    stage: Stage | None = None
    error: str | None = None
    epochs: int = 0
    selected_epoch: int = 0
    duration_s: float = 0.0
    teacher_forward_examples: int = 0
    micro_batch_size: int | None = None
    stage_s: Mapping[str, float] = field(default_factory=dict)
    ended_at: str | None = None


def _plain(value: Any) -> Any:
    """Returns a read-only mapping or a numpy number as JSON can write it."""
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{value!r} cannot stand in a record")
