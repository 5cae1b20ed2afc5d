"""What the family of the teacher's model cannot do is told before anything is trained."""

from pathlib import Path
from typing import Any

import pytest
from transformers import GPT2Config, GPT2ForSequenceClassification

from kdray.errors import ConfigError
from kdray.family_checks import check_family
from tests import tiny
from tests.tiny_sweep import tiny_config


def gpt2() -> Any:
    config = GPT2Config(vocab_size=64, n_embd=16, n_layer=2, n_head=2, pad_token_id=0)
    return GPT2ForSequenceClassification(config)


def told(folder: Path, model: Any, **changes: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check_family(tiny_config(folder, **changes), model)
    return [str(problem) for problem in caught.value.problems]


def test_another_classifier_is_for_the_families_that_kdray_knows(tmp_path: Path) -> None:
    head = {"choice": ["linear", {"hidden_size": 8}]}
    student = {"pooling": {"choice": ["cls", "mean"]}, "head": head}
    for family in tiny.ALL_FAMILIES:
        check_family(tiny_config(tmp_path, student=student), tiny.model(family=family))
    known = "pooling and head are for albert, bert, distilbert, electra, mobilebert, roberta"
    assert told(tmp_path, gpt2(), student=student) == [
        f"student.{key}: the teacher's model is of family 'gpt2', but {known}; leave it at {usual}"
        for key, usual in (("pooling", "cls"), ("head", "linear"))
    ]


def test_a_student_that_is_not_copied_may_have_another_classifier(tmp_path: Path) -> None:
    shape = {"layers": 1, "hidden_size": 8, "heads": 2, "intermediate_size": 16}
    student = {"initial": "scratch", "layers": None, "architecture": shape, "pooling": "mean"}
    training = {"gradient_checkpointing": True}
    check_family(tiny_config(tmp_path, student=student, training=training), gpt2())
    check_family(tiny_config(tmp_path, student=student, training=training), albert())


def albert() -> Any:
    return tiny.model(family="albert")


def test_layers_that_cannot_be_computed_again_are_told_of_by_their_key(tmp_path: Path) -> None:
    again = {"gradient_checkpointing": True}
    cannot = "AlbertForSequenceClassification cannot compute its layers again; leave it at false"
    drawn = {"gradient_checkpointing": {"choice": [False, True]}}
    assert told(tmp_path, albert(), training=drawn, teacher={"training": again}) == [
        f"teacher.training.gradient_checkpointing: {cannot}",
        f"training.gradient_checkpointing: {cannot}",
    ]
    check_family(tiny_config(tmp_path, training=drawn, teacher={"training": again}), tiny.model())


def test_assistants_are_copied_from_the_teacher_whatever_the_student_is(tmp_path: Path) -> None:
    shape = {"layers": 1, "hidden_size": 16, "heads": 2}
    changes = {
        "student": {"initial": "scratch", "layers": None, "architecture": shape},
        "training": {"gradient_checkpointing": True},
    }
    regime = {"name": "progressive", "assistants": [{"layers": 1}]}
    (problem,) = told(tmp_path, albert(), regime=regime, **changes)
    assert problem.startswith("training.gradient_checkpointing: Albert")
    check_family(tiny_config(tmp_path, **changes), albert())


def test_a_space_that_asks_for_nothing_of_it_suits_every_family(tmp_path: Path) -> None:
    check_family(tiny_config(tmp_path), gpt2())
    check_family(tiny_config(tmp_path), albert())
