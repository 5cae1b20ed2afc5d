"""What the family of the teacher's model cannot do is told before anything is trained."""

from pathlib import Path
from typing import Any

import pytest
from transformers import GPT2Config, GPT2ForSequenceClassification

from kdray.errors import ConfigError
from kdray.family_checks import check_family
from tests import tiny
from tests.tiny_sweep import tiny_config

NO_LAYERS = "AlbertForSequenceClassification has no list of layers to choose from"
ALL_LAYERS: dict[str, Any] = {"student": {"layers": 2}}


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
        config = tiny_config(tmp_path, student={"layers": 2, **student})
        check_family(config, tiny.model(family=family))
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
    changes = {**ALL_LAYERS, "training": drawn, "teacher": {"training": again}}
    assert told(tmp_path, albert(), **changes) == [
        f"teacher.training.gradient_checkpointing: {cannot}",
        f"training.gradient_checkpointing: {cannot}",
    ]
    check_family(tiny_config(tmp_path, **changes), tiny.model())


def test_assistants_are_copied_from_the_teacher_whatever_the_student_is(tmp_path: Path) -> None:
    shape = {"layers": 1, "hidden_size": 16, "heads": 2}
    changes = {
        "student": {"initial": "scratch", "layers": None, "architecture": shape},
        "training": {"gradient_checkpointing": True},
    }
    regime = {"name": "progressive", "assistants": [{"layers": 1}]}
    problem, _ = told(tmp_path, albert(), regime=regime, **changes)
    assert problem.startswith("training.gradient_checkpointing: Albert")
    check_family(tiny_config(tmp_path, **changes), albert())


def pruned(method: str, **options: Any) -> dict[str, Any]:
    return {**ALL_LAYERS, "pruning": {"method": method, "ratio": 0.5, **options}}


@pytest.mark.parametrize("method", ["width", "heads", "ffn", "layers"])
def test_units_are_not_cut_where_a_family_shares_one_layer_among_all(
    tmp_path: Path, method: str
) -> None:
    assert told(tmp_path, albert(), **pruned(method)) == [
        f"pruning.method: {method} cannot cut the teacher's layers: {NO_LAYERS}; choose a method "
        "that masks single weights, or set `student.initial: scratch`"
    ]
    for family in tiny.FAMILIES:
        check_family(tiny_config(tmp_path, **pruned(method)), tiny.model(family=family))


@pytest.mark.parametrize("method", ["width", "heads"])
def test_heads_are_not_cut_where_they_are_not_as_wide_as_the_hidden_states(
    tmp_path: Path, method: str
) -> None:
    model = tiny.model(family="mobilebert")
    pruning = [{"method": "layers"}, {"method": {"choice": ["magnitude", method]}}]
    (problem,) = told(tmp_path, model, **ALL_LAYERS, pruning=pruning)
    assert problem.startswith(f"pruning.1.method: {method} cannot cut the teacher's layers: ")
    assert "MobileBertLayer has no attention heads that kdray knows" in problem


def test_feed_forward_units_are_not_cut_where_a_layer_has_several_networks_of_them(
    tmp_path: Path,
) -> None:
    config = tiny_config(tmp_path, **pruned("ffn"))
    (problem,) = told(tmp_path, tiny.model(family="mobilebert"), **pruned("ffn"))
    assert "MobileBertLayer has several feed-forward networks" in problem
    check_family(config, tiny.model(family="mobilebert", num_feedforward_networks=1))


def test_a_ratio_that_leaves_every_layer_cuts_none(tmp_path: Path) -> None:
    check_family(tiny_config(tmp_path, **pruned("layers", ratio=0.1)), albert())


def test_layers_are_not_chosen_where_a_family_shares_one_among_all(tmp_path: Path) -> None:
    student = {"layers": {"choice": [1, 2]}}
    assert told(tmp_path, albert(), student=student) == [
        f"student.layers: {NO_LAYERS}; leave it out, or set `student.initial: scratch`"
    ]
    check_family(tiny_config(tmp_path, student={"layers": None}), albert())
    scratch = {"initial": "scratch", "layers": None, "architecture": {"layers": 1}}
    pruning = {"method": "heads", "ratio": 0.5}
    check_family(tiny_config(tmp_path, student=scratch, pruning=pruning), albert())


def test_assistants_are_not_made_where_a_family_shares_one_layer_among_all(
    tmp_path: Path,
) -> None:
    scratch = {"initial": "scratch", "layers": None, "architecture": {"layers": 1}}
    regime = {"name": "progressive", "assistants": [{"layers": 1}]}
    assert told(tmp_path, albert(), student=scratch, regime=regime) == [
        f"regime.name: progressive copies its assistants from the teacher, but {NO_LAYERS}; choose "
        "another regime"
    ]


def test_a_space_that_asks_for_nothing_of_it_suits_every_family(tmp_path: Path) -> None:
    check_family(tiny_config(tmp_path, **ALL_LAYERS), gpt2())
    check_family(tiny_config(tmp_path, **ALL_LAYERS), albert())
