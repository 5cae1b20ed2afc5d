"""A whole trial of students that classify otherwise than their teacher, of every text family."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdray.config.sections import Evaluation
from kdray.errors import ConfigError
from kdray.models.student import PACKED, load_student, save_student
from kdray.preparation import prepare
from kdray.schema import trial_config
from kdray.teachers import teacher_digest
from kdray.trial import run_trial
from tests import tiny
from tests.tiny_sweep import tiny_config

LABELS = tiny.Labels(("bully", "sexual", "religious", "threat", "spam"), "multi_label")
STUDENT = {"pooling": "mean", "head": {"hidden_size": 6}}
TRAINING = {"epochs": 1, "precision": "float32"}


def folder_of(folder: Path, family: str) -> str:
    tiny.model(LABELS, family=family, heads=4).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("family", tiny.ALL_FAMILIES)
def test_it_learns_and_is_stored_as_measured(tmp_path: Path, family: str) -> None:
    config = tiny_config(
        tmp_path,
        data={"max_length": 20},
        teacher={"model": folder_of(tmp_path / "teacher", family), "architecture": None},
        student={"layers": None, "pooling": {"choice": ["cls", "mean"]}},
        distillation={"method": {"choice": ["logit", "rkd"]}},
    )
    sweep = prepare(config)
    cut = {"pruning": {"method": "width", "ratio": 0.5}} if family in tiny.FAMILIES else {}
    sections = {
        "student": STUDENT,
        "pruning": {"method": "none"},
        "distillation": {"method": "rkd"},
        "training": TRAINING,
    }
    finished = run_trial(trial_config(sections | cut, Evaluation(), "macro_f1"), sweep)
    assert finished.epochs[0].training["loss_share_distance"] > 0
    # ELECTRA cannot be as narrow as its embeddings, which are 8 wide.
    narrow = {"electra": 12, "albert": 16, "mobilebert": 16}.get(family, 8)
    assert finished.student.model.config.hidden_size == narrow
    assert save_student(finished.student, tmp_path / "s") == finished.metrics["size_mb"]
    assert (tmp_path / "s" / PACKED).exists()
    texts = ["you are lovely", "claim your discount now"]
    again = load_student(tmp_path / "s").probabilities(texts)
    assert np.abs(again - finished.student.probabilities(texts)).max() < 1e-5
    assert teacher_digest(sweep.teacher) == sweep.verified.digest


def test_a_teacher_whose_family_cannot_is_told_of_before_it_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdray.teachers.fine_tune", None)
    again: dict[str, Any] = {"gradient_checkpointing": True}
    model = folder_of(tmp_path / "teacher", "albert")
    teacher = {"model": model, "architecture": None, "training": again}
    config = tiny_config(tmp_path, data={"max_length": 20}, teacher=teacher)
    with pytest.raises(ConfigError, match=r"teacher\.training\.gradient_checkpointing: Albert"):
        prepare(config)
