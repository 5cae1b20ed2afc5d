import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import kdray.trial
from kdray.evaluation.metrics import selection_metric
from kdray.models.building import ModelState, thaw
from kdray.models.student import load_student, save_student
from kdray.preparation import PreparedSweep, prepare
from kdray.results.records import TEACHER_EXAMPLES, EpochReport
from kdray.schema import TrialConfig, trial_config
from kdray.teachers import teacher_digest
from kdray.trial import TeacherWatch, TrialError, run_trial
from tests.tiny_sweep import TINY, merged, tiny_config

SECTIONS: dict[str, Any] = {
    "student": {"layers": 1},
    "pruning": {"method": "none"},
    "distillation": {"method": "logit"},
    "training": {"epochs": 2, "precision": "float32"},
}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> PreparedSweep:
    return prepare(tiny_config(tmp_path_factory.mktemp("space")))


def trial(folder: Path, evaluation: Mapping[str, Any] | None = None, **changes: Any) -> TrialConfig:
    config = tiny_config(folder, evaluation=dict(evaluation or {}))
    metric = selection_metric(config.objectives)
    return trial_config(merged(SECTIONS, changes), config.evaluation, metric)


def test_a_trial_reports_every_epoch_and_measures_everything_once(
    sweep: PreparedSweep, tmp_path: Path
) -> None:
    reports: list[EpochReport] = []
    finished = run_trial(trial(tmp_path), sweep, reports.append)
    assert [report.epoch for report in reports] == [1, 2]
    assert finished.epochs == tuple(reports)
    assert {"macro_f1", "test_macro_f1", "size_mb", "macs", "speedup"} <= finished.metrics.keys()
    assert {name: part.shape for name, part in finished.logits.items()} == {
        "validation": (80, 5),
        "test": (80, 5),
    }
    shares = [v for k, v in reports[0].training.items() if k.startswith("loss_share_")]
    assert sum(shares) == pytest.approx(1.0)
    selected = reports[finished.selected_epoch - 1]
    assert {"loss_share_soft", "gradient_share_hard"} <= selected.shares.keys()
    assert selected.shares.items() <= finished.metrics.items()


def test_the_epoch_that_is_best_on_validation_is_kept(sweep: PreparedSweep, tmp_path: Path) -> None:
    finished = run_trial(trial(tmp_path, training={"epochs": 4}), sweep)
    values = [report.metrics["macro_f1"] for report in finished.epochs]
    assert finished.selected_epoch == int(np.argmax(values)) + 1
    assert finished.metrics["macro_f1"] == max(values)


def test_the_teacher_is_the_same_before_and_after(sweep: PreparedSweep, tmp_path: Path) -> None:
    before = teacher_digest(sweep.teacher)
    run_trial(trial(tmp_path, pruning={"method": "magnitude", "ratio": 0.9}), sweep)
    assert teacher_digest(sweep.teacher) == before == sweep.verified.digest


def test_a_teacher_that_is_not_the_verified_one_fails_the_trial(tmp_path: Path) -> None:
    prepared = prepare(tiny_config(tmp_path))
    weights = dict(prepared.teacher.weights)
    name = next(iter(weights))
    weights[name] = weights[name] + 1
    object.__setattr__(prepared.teacher, "weights", weights)
    with pytest.raises(TrialError, match="verify: the teacher's weights are not those"):
        run_trial(trial(tmp_path), prepared)


def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes how often the teacher's weights are read through, as if that took a second."""
    clock, found = itertools.count(), list[str]()

    def look(*states: ModelState) -> str:
        found.append(teacher_digest(*states))
        return found[-1]

    monkeypatch.setattr(kdray.trial, "teacher_digest", look)
    monkeypatch.setattr(kdray.trial, "monotonic", lambda: float(next(clock)))
    return found


def test_a_worker_reads_the_teacher_through_at_its_first_trial_and_then_seldom(
    sweep: PreparedSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, watch = looked(monkeypatch), TeacherWatch()
    for _ in range(50):
        watch.check(sweep)
    assert len(found) == 1
    for _ in range(150):
        watch.check(sweep)
    assert len(found) == 2


def test_a_teacher_of_another_sweep_is_read_through_at_once(
    sweep: PreparedSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, watch = looked(monkeypatch), TeacherWatch()
    watch.check(sweep)
    weights = dict(sweep.teacher.weights)
    name = next(iter(weights))
    weights[name] = weights[name] + 1
    other = replace(sweep, teacher=replace(sweep.teacher, weights=weights))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="not those that were verified"):
            watch.check(other)
    watch.check(sweep)
    assert len(found) == 4


def test_weights_that_are_written_to_are_found_at_the_next_look(
    sweep: PreparedSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked(monkeypatch)
    weights = {name: array.copy() for name, array in sweep.teacher.weights.items()}
    own, watch = replace(sweep, teacher=replace(sweep.teacher, weights=weights)), TeacherWatch()
    watch.check(own)
    next(iter(weights.values()))[...] = 0
    for _ in range(99):
        watch.check(own)
    with pytest.raises(RuntimeError, match="not those that were verified"):
        watch.check(own)


@pytest.mark.parametrize("method", ["none", "logit", "hidden", "attention", "multi_level"])
def test_the_same_configuration_gives_the_same_student(
    sweep: PreparedSweep, tmp_path: Path, method: str
) -> None:
    config = trial(tmp_path, distillation={"method": method})
    first, second = run_trial(config, sweep), run_trial(config, sweep)
    assert np.array_equal(first.logits["test"], second.logits["test"])


@pytest.mark.parametrize("method", ["logit", "multi_level"])
def test_a_trial_whose_teacher_runs_in_the_loop_teaches_the_same_and_says_what_it_cost(
    sweep: PreparedSweep, tmp_path: Path, method: str
) -> None:
    config = trial(tmp_path, distillation={"method": method})
    uncached = prepare(tiny_config(tmp_path, teacher={"cache": {"where": "off"}}))
    one, other = run_trial(config, sweep), run_trial(config, uncached)
    assert np.allclose(one.logits["test"], other.logits["test"], atol=1e-3)
    assert not any(TEACHER_EXAMPLES in report.training for report in one.epochs)
    assert [report.training[TEACHER_EXAMPLES] for report in other.epochs] == [200, 200]


def test_a_trial_without_a_teacher_in_its_loss_does_not_run_it(tmp_path: Path) -> None:
    uncached = prepare(tiny_config(tmp_path, teacher={"cache": {"where": "off"}}))
    finished = run_trial(trial(tmp_path, distillation={"method": "none"}), uncached)
    assert TEACHER_EXAMPLES not in finished.epochs[0].training


def test_a_pruned_student_keeps_its_zeros_and_its_size_is_that_of_its_file(
    sweep: PreparedSweep, tmp_path: Path
) -> None:
    config = trial(tmp_path, pruning={"method": "magnitude", "ratio": 0.75, "preserve": []})
    finished = run_trial(config, sweep)
    linears = [m for m in finished.student.model.modules() if isinstance(m, torch.nn.Linear)]
    zeros = sum(int((m.weight == 0).sum()) for m in linears)
    assert zeros == round(0.75 * sum(m.weight.numel() for m in linears))
    assert save_student(finished.student, tmp_path / "s") == finished.metrics["size_mb"]
    assert finished.metrics["size_mb"] < run_trial(trial(tmp_path), sweep).metrics["size_mb"]


def test_what_is_stored_gives_the_logits_that_were_measured(
    sweep: PreparedSweep, tmp_path: Path
) -> None:
    for number_format in ("float32", "float16", "int8"):
        config = trial(tmp_path, student={"layers": 1, "weights": number_format})
        finished = run_trial(config, sweep)
        save_student(finished.student, tmp_path / number_format)
        loaded = load_student(tmp_path / number_format)
        texts = ["you are a clown", "what a day"]
        measured = finished.student.probabilities(texts)
        assert np.abs(loaded.probabilities(texts) - measured).max() < 1e-5


def test_the_teachers_size_is_given_in_the_format_of_the_student(
    sweep: PreparedSweep, tmp_path: Path
) -> None:
    teachers = []
    for number_format in ("float32", "float16", "int8"):
        config = trial(tmp_path, student={"layers": 2, "weights": number_format})
        metrics = run_trial(config, sweep).metrics
        assert metrics["size_mb"] == pytest.approx(metrics["teacher_size_mb"], rel=1e-3)
        assert metrics["size_share"] == metrics["size_mb"] / metrics["teacher_size_mb"]
        teachers.append(metrics["teacher_size_mb"])
    whole, half, quarter = teachers
    assert whole == sweep.verified.metrics["size_mb"]
    assert whole > half > quarter


@pytest.mark.parametrize("embeddings", ["trained", "frozen"])
def test_frozen_embeddings_are_the_teachers_after_training(
    sweep: PreparedSweep, tmp_path: Path, embeddings: str
) -> None:
    config = trial(tmp_path, student={"embeddings": embeddings})
    student = run_trial(config, sweep).student.model.get_input_embeddings().weight
    teacher = thaw(sweep.teacher).get_input_embeddings().weight
    assert torch.equal(student, teacher) == (embeddings == "frozen")


def test_masks_of_several_pruning_methods_are_joined(sweep: PreparedSweep, tmp_path: Path) -> None:
    sections = merged(SECTIONS, {})
    sections["pruning"] = [
        {"method": "random", "ratio": 0.5},
        {"method": "magnitude", "ratio": 0.6},
    ]
    finished = run_trial(trial_config(sections, trial(tmp_path).evaluation, "macro_f1"), sweep)
    weights = finished.student.model.bert.encoder.layer[0].output.dense.weight
    assert 0.5 < float((weights == 0).float().mean()) < 0.75


def test_a_student_from_scratch_may_be_narrower_than_its_teacher(
    sweep: PreparedSweep, tmp_path: Path
) -> None:
    shape = {"layers": 1, "hidden_size": 8, "heads": 2, "intermediate_size": 16}
    student = {"initial": "scratch", "layers": None, "architecture": shape}
    config = trial(tmp_path, student=student, distillation={"method": "multi_level"})
    finished = run_trial(config, sweep)
    assert finished.student.model.config.hidden_size == 8
    assert finished.epochs[0].training["loss_share_hidden"] > 0


def test_thresholds_are_tuned_on_validation_and_shipped(
    sweep: PreparedSweep, tmp_path: Path
) -> None:
    fixed = run_trial(trial(tmp_path), sweep)
    tuned = run_trial(trial(tmp_path, {"thresholds": "tuned"}), sweep)
    assert tuned.metrics["macro_f1"] >= fixed.metrics["macro_f1"]
    assert len(tuned.student.thresholds) == 5


def test_a_trial_that_fails_says_in_which_stage_and_why(
    sweep: PreparedSweep, tmp_path: Path
) -> None:
    with pytest.raises(TrialError) as caught:
        run_trial(trial(tmp_path, student={"layers": 9}), sweep)
    assert (caught.value.stage, caught.value.reason) == (
        "prune",
        "layers must be 1 to 2, but got 9",
    )


def test_what_on_epoch_raises_ends_the_trial(sweep: PreparedSweep, tmp_path: Path) -> None:
    def stop(report: EpochReport) -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        run_trial(trial(tmp_path), sweep, stop)


def pairs(folder: Path) -> dict[str, Any]:
    rows = [(f"text {i} here", f"other {i % 7}", ["same", "other"][i % 2]) for i in range(120)]
    frame = pd.DataFrame(rows, columns=["premise", "hypothesis", "label"])
    frame.to_csv(folder / "pairs.csv", index=False)
    return {"source": "files", "train": "pairs.csv", "text": ["premise", "hypothesis"]}


def test_pairs_of_texts_with_one_label_run_from_end_to_end(tmp_path: Path) -> None:
    data = {**dict.fromkeys(TINY["data"]), **pairs(tmp_path), "labels": "label"}
    prepared = prepare(tiny_config(tmp_path, data=data))
    finished = run_trial(trial(tmp_path, distillation={"method": "multi_level"}), prepared)
    assert "token_type_ids" in prepared.splits["train"].columns
    assert finished.student.predict([("text 1 here", "other 1")])[0][0] in ("same", "other")
    assert thaw(prepared.teacher).config.problem_type == "single_label_classification"
