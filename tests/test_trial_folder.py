from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kdray.results.folder import SweepFolder
from kdray.results.records import MICRO_BATCH_SIZE, TEACHER_EXAMPLES, EpochReport
from kdray.trial_folder import Failure, TrialSetup, store_failed, store_finished, store_stopped

SETUP = TrialSetup("0000", {}, {}, 1)


def reports(*examples: int) -> tuple[EpochReport, ...]:
    return tuple(
        EpochReport(epoch, 4, {}, {"loss": 1.0, TEACHER_EXAMPLES: float(count)}, 1.0)
        for epoch, count in enumerate(examples, 1)
    )


@pytest.mark.parametrize("ended", ["completed", "stopped_early", "failed"])
def test_a_result_says_how_often_the_teacher_was_run_in_the_loop(
    tmp_path: Path, ended: str
) -> None:
    folder, epochs = SweepFolder(tmp_path), reports(200, 180)
    finished: Any = SimpleNamespace(
        metrics={},
        epochs=epochs,
        selected_epoch=1,
        duration_s=1.0,
        stage_s={},
        logits={},
        student=SimpleNamespace(thresholds=()),
    )
    if ended == "completed":
        store_finished(folder, SETUP, finished, keep_weights=False)
    elif ended == "stopped_early":
        store_stopped(folder, SETUP, epochs, epochs[0], 1.0)
    else:
        store_failed(folder, SETUP, Failure("distil", "out of memory"), epochs)
    (result,) = folder.results()
    assert (result.status, result.teacher_forward_examples) == (ended, 380)


def test_a_trial_that_was_stopped_tells_the_shares_of_its_best_epoch(tmp_path: Path) -> None:
    epochs = [
        EpochReport(number, 4, {"macro_f1": 0.5}, {"loss": 1.0, "loss_share_hard": share}, 1.0)
        for number, share in ((1, 0.4), (2, 0.6))
    ]
    result = store_stopped(SweepFolder(tmp_path), SETUP, epochs, epochs[0], 1.0)
    assert result.metrics == {"macro_f1": 0.5, "loss_share_hard": 0.4}


def test_a_trial_that_read_the_cache_alone_ran_the_teacher_on_nothing(tmp_path: Path) -> None:
    epochs = [EpochReport(1, 4, {}, {"loss": 1.0}, 1.0)]
    result = store_failed(SweepFolder(tmp_path), SETUP, Failure("distil", "no"), epochs)
    assert result.teacher_forward_examples == 0


@pytest.mark.parametrize(("last", "expected"), [({}, None), ({MICRO_BATCH_SIZE: 8.0}, 8)])
def test_a_result_says_how_many_examples_fitted_into_memory(
    tmp_path: Path, last: dict[str, float], expected: int | None
) -> None:
    epochs = [EpochReport(1, 2, {}, {}, 1.0), EpochReport(2, 2, {}, last, 1.0)]
    result = store_failed(SweepFolder(tmp_path), SETUP, Failure("evaluate", "no"), epochs)
    assert result.micro_batch_size == expected
    assert SweepFolder(tmp_path).results() == [result]
