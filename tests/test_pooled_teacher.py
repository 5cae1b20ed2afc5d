"""A teacher that classifies by the mean of all positions, as sentence encoders are made for."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from kdray.commands.spaces import validate_space
from kdray.commands.speaking import Voice
from kdray.config.sections import Evaluation
from kdray.config.teachers import Teacher
from kdray.data.base import Examples
from kdray.data.batches import make_batch
from kdray.models.building import borrow, config_of, freeze, thaw, without_mean
from kdray.models.classifier import reads_mean
from kdray.models.student import PACKED, load_student, save_student
from kdray.preparation import PreparedSweep, prepare, rebuild
from kdray.prune_stage import build_student
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig, TrialConfig, trial_config
from kdray.teacher.keeping import Place
from kdray.teacher.making import untrained_teacher
from kdray.trial import run_trial
from tests import tiny
from tests.tiny_sweep import tiny_config

TRAINING = {"epochs": 1, "precision": "float32"}


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> tuple[SweepConfig, SweepFolder, Any]:
    """A sweep that was prepared with a teacher that reads the mean."""
    root = tmp_path_factory.mktemp("pooled")
    config = tiny_config(root, teacher={"pooling": "mean"})
    folder = SweepFolder(root / "sweep")
    return config, folder, prepare(config, place=Place(folder))


def logits(sweep: PreparedSweep) -> Any:
    test = sweep.splits["test"]
    batch = make_batch(test, np.arange(len(test)), torch.device("cpu"))
    with torch.no_grad():
        return borrow(sweep.teacher)(**batch.inputs).logits


def finished(sweep: PreparedSweep, **student: Any) -> Any:
    return run_trial(trial(student), sweep)


def trial(student: dict[str, Any]) -> TrialConfig:
    rest = {"pruning": {"method": "none"}, "distillation": {"method": "logit"}}
    sections = {"student": student, "training": TRAINING, **rest}
    return trial_config(sections, Evaluation(), "macro_f1")


def test_it_reads_every_position(pooled: Any) -> None:
    assert reads_mean(config_of(pooled[2].teacher))


def test_it_is_stored_so_that_plain_transformers_does_not_read_it_by_its_first_position(
    pooled: Any,
) -> None:
    from transformers import AutoModelForSequenceClassification

    assert (pooled[1].teacher / PACKED).exists()
    with pytest.raises(OSError, match=r"model\.safetensors"):
        AutoModelForSequenceClassification.from_pretrained(pooled[1].teacher)
    assert reads_mean(load_student(pooled[1].teacher).model.config)


def test_it_comes_back_from_its_folder_as_it_was(pooled: Any) -> None:
    config, folder, sweep = pooled
    again = rebuild(config, Place(folder))
    assert torch.equal(logits(again), logits(sweep))
    assert again.verified == sweep.verified


def test_it_teaches_another_sweep_and_validate_takes_it(
    pooled: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = {"model": str(pooled[1].teacher), "architecture": None}
    again = prepare(tiny_config(tmp_path, "teacher.training=null", teacher=teacher))
    assert torch.equal(logits(again), logits(pooled[2]))
    validate_space(tmp_path / "space.yaml", ["teacher.training=null"], Voice())
    assert "logit: ok" in capsys.readouterr().out


@pytest.mark.parametrize(("asked", "mean"), [(None, True), ("mean", True), ("cls", False)])
def test_a_student_classifies_as_its_teacher_unless_it_is_told_otherwise(
    pooled: Any, asked: str | None, mean: bool
) -> None:
    student = finished(pooled[2], layers=1, pooling=asked).student
    assert reads_mean(student.model.config) == mean


def test_a_student_from_scratch_classifies_as_its_teacher_too(pooled: Any) -> None:
    shape = {"layers": 1, "hidden_size": 8, "heads": 2, "intermediate_size": 8}
    student = finished(pooled[2], initial="scratch", architecture=shape).student
    assert reads_mean(student.model.config)


@pytest.mark.parametrize(
    ("its_own", "asked", "mean"),
    [
        ("cls", None, False),
        ("cls", "mean", True),
        ("mean", None, True),
        ("mean", "cls", False),
    ],
)
def test_a_student_from_a_folder_classifies_as_that_does_unless_it_is_told_otherwise(
    pooled: Any, tmp_path: Path, its_own: Any, asked: str | None, mean: bool
) -> None:
    teacher = load_student(pooled[1].teacher)
    first = without_mean(freeze(teacher.model))
    save_student(replace(teacher, model=thaw(first)), tmp_path / "cls")
    folder = pooled[1].teacher if its_own == "mean" else tmp_path / "cls"
    model = build_student(trial({"initial": str(folder), "pooling": asked}), pooled[2])
    assert reads_mean(model.config) == mean
    test = pooled[2].splits["test"]
    batch = make_batch(test, np.arange(len(test)), torch.device("cpu"))
    with torch.no_grad():
        says = model.eval()(**batch.inputs).logits
        assert torch.equal(says, logits(pooled[2])) == mean
        assert torch.equal(says, thaw(first)(**batch.inputs).logits) == (not mean)


def test_a_student_from_a_folder_of_a_family_that_cannot_read_the_mean_keeps_its_way(
    pooled: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = load_student(pooled[1].teacher)
    model = thaw(without_mean(freeze(teacher.model)))
    save_student(replace(teacher, model=model), tmp_path)
    monkeypatch.setattr("kdray.models.classifier.FAMILIES", ())
    assert not reads_mean(build_student(trial({"initial": str(tmp_path)}), pooled[2]).config)


def test_a_student_that_copies_all_layers_and_learns_nothing_says_what_its_teacher_says(
    pooled: Any,
) -> None:
    model = build_student(trial({"layers": None}), pooled[2])
    test = pooled[2].splits["test"]
    batch = make_batch(test, np.arange(len(test)), torch.device("cpu"))
    with torch.no_grad():
        assert torch.equal(model.eval()(**batch.inputs).logits, logits(pooled[2]))


def test_a_teacher_that_is_not_trained_here_keeps_its_own_way() -> None:
    with pytest.raises(ValidationError, match=r"`pooling: mean` is for a teacher that is fine-tun"):
        Teacher.model_validate({"model": "x", "training": None, "pooling": "mean"})


@pytest.mark.parametrize("family", ["bert", "albert"])
def test_its_pooler_begins_by_passing_on_the_mean(tmp_path: Path, family: str) -> None:
    model = tiny.model(tiny.MULTI, family=family, heads=4)
    model.save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    section = Teacher.model_validate({"model": str(tmp_path), "pooling": "mean"})
    begun, _ = untrained_teacher(section, tiny.MULTI, Examples((), np.zeros(0)), 20, seed=0)
    ids, mask = torch.tensor([[2, 5, 6, 3, 0]]), torch.tensor([[1, 1, 1, 1, 0]])
    with torch.no_grad():
        output = begun.base_model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        mean = output.hidden_states[-1][:, :4].mean(1)
    assert torch.allclose(output.pooler_output, torch.tanh(mean), atol=1e-6)
