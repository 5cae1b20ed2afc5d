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
from tests.tiny_sweep import merged, tiny_config

EPOCHS = 3
TIMED = ("latency_ms", "latency_p95_ms", "speedup", "throughput")
SECTIONS: dict[str, Any] = {
    "student": {"layers": 1},
    "pruning": {"method": "none"},
    "distillation": {"method": "logit"},
    "training": {"epochs": EPOCHS, "precision": "float32"},
}
NARROW = {"layers": 1, "hidden_size": 8, "heads": 2, "intermediate_size": 16}
KINDS: dict[str, dict[str, Any]] = {
    "masks": {"pruning": {"method": "magnitude", "ratio": 0.6}},
    "masks in bfloat16": {
        "pruning": {"method": "random", "ratio": 0.6},
        "distillation": {"method": "multi_level"},
        "training": {"precision": "bfloat16"},
    },
    "projections": {
        "student": {"initial": "scratch", "layers": None, "architecture": NARROW},
        "distillation": {"method": "hidden"},
    },
    "frozen embeddings": {
        "student": {"embeddings": "frozen"},
        "distillation": {"method": "attention"},
        "training": {"precision": "bfloat16"},
    },
    "rising masks": {
        "pruning": {"method": "magnitude", "ratio": 0.6, "schedule": "cubic"},
        "training": {"precision": "bfloat16"},
    },
    "masks in stages": {
        "student": {"embeddings": "frozen"},
        "pruning": {"method": "magnitude", "ratio": 0.6, "schedule": {"stages": 2}},
        "distillation": {"method": "multi_level"},
    },
    "width in stages": {
        "student": {"layers": 2, "embeddings": "frozen"},
        "pruning": {"method": "width", "ratio": 0.3, "schedule": {"stages": 2}},
        "distillation": {"method": "multi_level"},
    },
    "feed-forward units in stages": {
        "student": {"layers": 2},
        "pruning": {"method": "ffn", "ratio": 0.5, "schedule": {"stages": 2}},
    },
    "width in stages, by the first position": {
        "student": {"layers": 2},
        "pruning": {"method": "width", "ratio": 0.3, "schedule": {"stages": 2}},
    },
    "heads in stages": {
        "student": {"layers": 2},
        "pruning": {
            "method": "heads",
            "ratio": 0.5,
            "importance": "gradient",
            "schedule": {"stages": 2},
        },
        "distillation": {"method": "multi_level"},
        "training": {"precision": "bfloat16"},
    },
    "layers in stages": {
        "student": {"layers": 2},
        "pruning": {"method": "layers", "ratio": 0.3, "schedule": {"stages": 2}},
        "distillation": {"method": "hidden"},
    },
    "half precision": {"training": {"precision": "float16"}},
    "several batches a step": {
        "pruning": {"method": "magnitude", "ratio": 0.6, "schedule": "cubic"},
        "training": {"gradient_accumulation": 3, "batch_size": 16},
    },
    "layers computed again": {
        "student": {"embeddings": "frozen"},
        "distillation": {"method": "multi_level"},
        "training": {"gradient_checkpointing": True, "precision": "bfloat16"},
    },
    "deterministic algorithms": {"training": {"deterministic": True, "precision": "bfloat16"}},
    "the mean and two layers": {
        "student": {"pooling": "mean", "head": {"hidden_size": 6}},
        "pruning": {"method": "magnitude", "ratio": 0.6},
        "distillation": {"method": "hidden"},
        "training": {"precision": "bfloat16"},
    },
    "the mean and two layers, cut in stages": {
        "student": {"layers": 2, "pooling": "mean", "head": {"hidden_size": 6}},
        "pruning": {"method": "width", "ratio": 0.3, "schedule": {"stages": 2}},
        "distillation": {"method": "rkd"},
    },
    "vocabulary": {
        "student": {"embeddings": "frozen"},
        "pruning": {"method": "vocabulary", "ratio": 0.4},
    },
}
LATER: dict[str, dict[str, Any]] = {
    "progressive": {
        "pruning": {"method": "magnitude", "ratio": 0.6},
        "regime": {"name": "progressive", "assistants": [{"layers": 1}]},
    },
    "born again": {
        "pruning": {"method": "heads", "ratio": 0.5},
        "distillation": {"method": "multi_level"},
        "regime": {"name": "born_again", "generations": 2},
        "training": {"precision": "bfloat16"},
    },
    "born again in stages": {
        "student": {"layers": 2, "embeddings": "frozen"},
        "pruning": {"method": "width", "ratio": 0.3, "schedule": {"stages": 2}},
        "distillation": {"method": "hidden"},
        "regime": {"name": "born_again", "generations": 2},
    },
    "born again with the mean and two layers": {
        "student": {"pooling": "mean", "head": {"hidden_size": 6}},
        "distillation": {"method": "hidden"},
        "regime": {"name": "born_again", "generations": 2},
        "training": {"gradient_accumulation": 3, "batch_size": 16},
    },
    "born again from new words": {
        "pruning": {"method": "vocabulary", "ratio": 0.4},
        "distillation": {"method": "rkd"},
        "regime": {"name": "born_again", "generations": 2},
    },
}
KINDS |= LATER | {
    "mutual": {
        "student": {"initial": "scratch", "layers": None, "architecture": NARROW},
        "distillation": {"method": "hidden"},
        "regime": {"name": "mutual", "students": 3},
    },
    "mutual with rising masks": {
        "pruning": {"method": "magnitude", "ratio": 0.6, "schedule": "cubic"},
        "regime": {"name": "mutual"},
        "training": {"precision": "bfloat16"},
    },
    "mutual with masks in stages": {
        "student": {"embeddings": "frozen"},
        "pruning": {"method": "magnitude", "ratio": 0.6, "schedule": {"stages": 2}},
        "distillation": {"method": "attention"},
        "regime": {"name": "mutual"},
    },
    "online": {
        "distillation": {"method": "multi_level"},
        "regime": {"name": "online"},
        "training": {"precision": "bfloat16"},
    },
    "mutual, several batches a step": {
        "student": {"pooling": "mean", "head": {"hidden_size": 6}},
        "regime": {"name": "mutual"},
        "training": {"gradient_accumulation": 3, "batch_size": 16, "precision": "bfloat16"},
    },
    "mutual, layers computed again": {
        "distillation": {"method": "attention"},
        "regime": {"name": "mutual"},
        "training": {"gradient_checkpointing": True, "deterministic": True},
    },
    "online, layers computed again": {
        "student": {"pooling": "mean", "head": {"hidden_size": 6}},
        "distillation": {"method": "multi_level"},
        "regime": {"name": "online"},
        "training": {"gradient_checkpointing": True, "gradient_accumulation": 2},
    },
    "online in stages": {
        "student": {"layers": 2},
        "pruning": {"method": "layers", "ratio": 0.3, "schedule": {"stages": 2}},
        "regime": {"name": "online", "momentum": 0.9},
    },
}


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
@pytest.mark.parametrize("epoch", [2, 3])
def test_a_trial_that_was_cut_off_ends_as_if_it_had_not_been(
    sweep: PreparedSweep, tmp_path: Path, kind: str, epoch: int
) -> None:
    config, place = trial(**KINDS[kind]), Checkpoints(tmp_path / "state", 0.0)
    whole = run_trial(config, sweep)
    cut_off(config, sweep, place, epoch)
    heard: list[EpochReport] = []
    resumed = run_trial(config, sweep, heard.append, place)
    assert [report.epoch for report in heard] == list(range(epoch, len(whole.epochs) + 1))
    assert_same(whole, resumed)


@pytest.mark.parametrize("kind", LATER)
@pytest.mark.parametrize("epoch", [4, 5, 6])
def test_a_trial_that_was_cut_off_in_a_later_generation_ends_as_if_it_had_not_been(
    sweep: PreparedSweep, tmp_path: Path, kind: str, epoch: int
) -> None:
    config, place = trial(**LATER[kind]), Checkpoints(tmp_path / "state", 0.0)
    whole = run_trial(config, sweep)
    assert [report.epoch for report in whole.epochs] == list(range(1, 2 * EPOCHS + 1))
    cut_off(config, sweep, place, epoch)
    assert_same(whole, run_trial(config, sweep, checkpoints=place))


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
