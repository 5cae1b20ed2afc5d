"""A trial that was cut off, or ran out of memory, comes to its end all the same."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdray import prune_stage, pupils
from kdray.config.sections import Evaluation
from kdray.models.building import ModelState, empty_model
from kdray.preparation import PreparedSweep, prepare
from kdray.results.folder import SweepFolder
from kdray.results.records import EpochReport
from kdray.schema import TrialConfig, trial_config
from kdray.training.checkpoint import kept_epochs
from kdray.training.course import Checkpoints
from kdray.trial import Finished, TrialError, run_trial
from kdray.trial_folder import TrialSetup, store_finished
from tests.kinds_of_trials import EPOCHS, KINDS, LATER, SECTIONS
from tests.tiny_sweep import merged, tiny_config

TIMED = ("latency_ms", "latency_p95_ms", "teacher_latency_ms", "speedup", "throughput")


@pytest.fixture(autouse=True)
def _what_is_in_memory_is_no_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    def poisoned(state: ModelState) -> Any:
        model = empty_model(state)
        for parameter in model.parameters():
            torch.nn.init.constant_(parameter, torch.nan)
        return model

    monkeypatch.setattr(prune_stage, "empty_model", poisoned)


class CutOffError(Exception):
    """The process is gone."""


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> PreparedSweep:
    pruning = {"method": {"choice": ["magnitude", "vocabulary"]}, "ratio": None}
    return prepare(tiny_config(tmp_path_factory.mktemp("space"), pruning=pruning))


def trial(**changes: Any) -> TrialConfig:
    return trial_config(merged(SECTIONS, changes), Evaluation(), "macro_f1")


def cut_off(config: TrialConfig, sweep: PreparedSweep, place: Checkpoints, epoch: int) -> None:
    """Runs a trial until it wants to tell of an epoch."""

    def stop(report: EpochReport) -> None:
        if report.epoch == epoch:
            raise CutOffError

    with pytest.raises(TrialError):
        run_trial(config, sweep, stop, place)


def measured(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name not in TIMED}


def assert_same(one: Finished, other: Finished) -> None:
    assert measured(one.metrics) == measured(other.metrics)
    assert one.selected_epoch == other.selected_epoch
    for split, logits in one.logits.items():
        assert np.array_equal(logits, other.logits[split])
    assert [replace(report, duration_s=0) for report in one.epochs] == [
        replace(report, duration_s=0) for report in other.epochs
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_trial_that_was_cut_off_in_every_epoch_ends_as_if_it_had_not_been(
    sweep: PreparedSweep, tmp_path: Path, kind: str
) -> None:
    config, place = trial(**KINDS[kind]), Checkpoints(tmp_path / "state", 0.0)
    whole = run_trial(config, sweep)
    generations = 2 if kind in LATER else 1
    assert [report.epoch for report in whole.epochs] == list(range(1, generations * EPOCHS + 1))
    for epoch in range(2, len(whole.epochs) + 1):
        cut_off(config, sweep, place, epoch)
    heard: list[EpochReport] = []
    resumed = run_trial(config, sweep, heard.append, place)
    assert [report.epoch for report in heard] == [len(whole.epochs)]
    assert_same(whole, resumed)


def test_an_epoch_that_nobody_was_told_of_is_told_of_again(
    sweep: PreparedSweep, tmp_path: Path
) -> None:
    config, place = trial(), Checkpoints(tmp_path / "state", 0.0)
    cut_off(config, sweep, place, epoch=2)
    assert [report.epoch for report in kept_epochs(place)] == [1]
    heard: list[EpochReport] = []
    run_trial(config, sweep, heard.append, place)
    assert [report.epoch for report in heard] == [2, 3]


def test_a_trial_that_was_trained_to_its_end_is_only_evaluated(
    sweep: PreparedSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, place = trial(), Checkpoints(tmp_path / "state", 0.0)
    whole = run_trial(config, sweep, checkpoints=place)
    heard: list[EpochReport] = []
    monkeypatch.setattr(pupils, "predict_logits", None)  # used after each epoch
    assert_same(whole, run_trial(config, sweep, heard.append, place))
    assert not heard


def test_the_state_of_another_configuration_is_passed_over(
    sweep: PreparedSweep, tmp_path: Path
) -> None:
    place = Checkpoints(tmp_path / "state", 0.0)
    cut_off(trial(training={"learning_rate": 1e-3}), sweep, place, epoch=3)
    heard: list[EpochReport] = []
    run_trial(trial(), sweep, heard.append, place)
    assert [report.epoch for report in heard] == [1, 2, 3]


def test_a_trial_shorter_than_the_interval_writes_nothing(
    sweep: PreparedSweep, tmp_path: Path
) -> None:
    place = Checkpoints(SweepFolder(tmp_path).checkpoint("0000"), 3600.0)
    run_trial(trial(), sweep, checkpoints=place)
    assert not list(tmp_path.iterdir())


def with_room_for(examples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a step run out of memory above a number of examples."""
    made = pupils.distillation_terms

    def terms(*arguments: Any) -> Callable[..., Any]:
        compute = made(*arguments)

        def checked(batch: Any, progress: float) -> Any:
            found = compute(batch, progress)
            if len(batch.rows) > examples:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return found

        return checked

    monkeypatch.setattr(pupils, "distillation_terms", terms)


def test_a_trial_that_runs_out_of_memory_takes_smaller_parts_and_says_so(
    sweep: PreparedSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_room_for(10, monkeypatch)
    finished = run_trial(trial(), sweep)
    assert [report.training["micro_batch_size"] for report in finished.epochs] == [8.0] * EPOCHS
    setup = TrialSetup("0000", {}, {}, 1)
    store_finished(SweepFolder(tmp_path), setup, finished, keep_weights=False)
    assert [result.micro_batch_size for result in SweepFolder(tmp_path).results()] == [8]


def test_a_trial_whose_batches_fit_says_nothing_of_them(sweep: PreparedSweep) -> None:
    finished = run_trial(trial(training={"epochs": 1}), sweep)
    assert "micro_batch_size" not in finished.epochs[0].training


def test_a_trial_that_cannot_hold_one_example_fails(
    sweep: PreparedSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_room_for(0, monkeypatch)
    with pytest.raises(TrialError, match="distil: CUDA out of memory") as caught:
        run_trial(trial(), sweep)
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)
