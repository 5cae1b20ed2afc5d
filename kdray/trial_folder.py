"""One trial on disk: enough to read it, and to do it again exactly."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from kdray.errors import ConfigError, Problem
from kdray.models.student import save_student
from kdray.results.folder import PREDICTIONS, SweepFolder, write_trial, written_whole
from kdray.results.records import (
    MICRO_BATCH_SIZE,
    TEACHER_EXAMPLES,
    EpochReport,
    Stage,
    TrialResult,
)
from kdray.schema import completed
from kdray.trial import Finished


@dataclass(frozen=True)
class TrialSetup:
    """What a trial is made from.

    Attributes:
        trial_id: Its id in the sweep.
        sections: Plain values of the searchable sections.
        parameters: Every drawn value by its dotted name.
        threads: Torch threads; another number may give another last bit.
    """

    trial_id: str
    sections: Mapping[str, Any]
    parameters: Mapping[str, Any]
    threads: int


def drawn_setup(drawn: Mapping[str, Any], threads: int) -> TrialSetup:
    """Returns the setup of a trial that a search drew.

    Args:
        drawn: Its `trial_id`, `sections` and `parameters`.
        threads: Torch threads of a trial.
    """
    return TrialSetup(drawn["trial_id"], drawn["sections"], drawn["parameters"], threads)


@dataclass(frozen=True)
class Failure:
    """Why a trial failed.

    Attributes:
        stage: In which stage.
        reason: In one line.
        duration_s: Seconds from its start.
    """

    stage: Stage
    reason: str
    duration_s: float = 0.0


def store_finished(
    folder: SweepFolder, setup: TrialSetup, finished: Finished, keep_weights: bool
) -> TrialResult:
    """Writes student and result, each in one piece, and returns the result."""
    result = TrialResult(
        trial_id=setup.trial_id,
        status="completed",
        parameters=setup.parameters,
        metrics=finished.metrics,
        epochs=len(finished.epochs),
        teacher_forward_examples=_asked(finished.epochs),
        micro_batch_size=_at_once(finished.epochs),
        selected_epoch=finished.selected_epoch,
        duration_s=finished.duration_s,
        stage_s=finished.stage_s,
        ended_at=_now(),
    )
    if keep_weights:
        card = {"trial_id": setup.trial_id, "sections": setup.sections, "metrics": finished.metrics}
        with written_whole(folder.student(setup.trial_id)) as staging:
            save_student(replace(finished.student, card=card), staging)
    predictions = {**finished.logits, "thresholds": np.array(finished.student.thresholds)}
    _write(folder, setup, result, finished.epochs, predictions)
    return result


def store_failed(
    folder: SweepFolder,
    setup: TrialSetup,
    failure: Failure,
    epochs: Sequence[EpochReport] = (),
) -> TrialResult:
    """Writes the result of a trial that failed, with the epochs it did, and returns it."""
    result = TrialResult(
        trial_id=setup.trial_id,
        status="failed",
        parameters=setup.parameters,
        stage=failure.stage,
        error=failure.reason,
        epochs=len(epochs),
        teacher_forward_examples=_asked(epochs),
        micro_batch_size=_at_once(epochs),
        duration_s=failure.duration_s,
        ended_at=_now(),
    )
    _write(folder, setup, result, epochs)
    return result


def store_stopped(
    folder: SweepFolder,
    setup: TrialSetup,
    epochs: Sequence[EpochReport],
    best: EpochReport,
    duration_s: float,
) -> TrialResult:
    """Writes the result of a trial that a scheduler stops, and returns it.

    Args:
        folder: The sweep's folder.
        setup: What the trial is made from.
        epochs: The epochs that it did.
        best: The best of them; its metrics and shares are the trial's.
        duration_s: Seconds from its start.
    """
    result = TrialResult(
        trial_id=setup.trial_id,
        status="stopped_early",
        parameters=setup.parameters,
        metrics={**best.metrics, **best.shares},
        epochs=len(epochs),
        teacher_forward_examples=_asked(epochs),
        micro_batch_size=_at_once(epochs),
        selected_epoch=best.epoch,
        duration_s=duration_s,
        ended_at=_now(),
    )
    _write(folder, setup, result, epochs)
    return result


def load_setup(folder: SweepFolder, trial_id: str) -> TrialSetup:
    """Returns what a past trial was made from.

    Raises:
        ConfigError: If the sweep has no such trial.
    """
    file = folder.trial(trial_id) / "config.yaml"
    if not file.is_file():
        known = [result.trial_id for result in folder.results()]
        shown = f"{known[0]} to {known[-1]}" if known else "none"
        raise ConfigError([Problem(str(folder.root), f"has no trial {trial_id!r}; it has {shown}")])
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    sections = completed(content["sections"])
    return TrialSetup(trial_id, sections, content["parameters"], content["threads"])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _asked(epochs: Sequence[EpochReport]) -> int:
    """Returns how many examples the teacher was run on in these epochs."""
    return sum(int(report.training.get(TEACHER_EXAMPLES, 0)) for report in epochs)


def _at_once(epochs: Sequence[EpochReport]) -> int | None:
    """Returns how many examples were trained on at once in the end, if memory ran out."""
    size = epochs[-1].training.get(MICRO_BATCH_SIZE) if epochs else None
    return None if size is None else int(size)


def _write(
    folder: SweepFolder,
    setup: TrialSetup,
    result: TrialResult,
    epochs: Sequence[EpochReport] = (),
    predictions: Mapping[str, Any] | None = None,
) -> None:
    content = {
        "sections": dict(setup.sections),
        "parameters": dict(setup.parameters),
        "threads": setup.threads,
    }
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    files: dict[str, Callable[[Path], object]] = {
        "config.yaml": lambda path: path.write_text(text, encoding="utf-8")
    }
    if predictions is not None:
        files[PREDICTIONS] = lambda path: np.savez(path, **dict(predictions))
    write_trial(folder, result, epochs, files)
    folder.remove(folder.checkpoint(setup.trial_id))
