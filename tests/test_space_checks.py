from itertools import product
from pathlib import Path
from typing import Any

import pytest

from kdray.config.domains import parse_tree
from kdray.config.sections import Student
from kdray.config.teachers import Teacher
from kdray.distillation.base import Shape
from kdray.distillation.hidden import Hidden
from kdray.schema import DEFAULTS, SEARCHABLE, checked_data
from kdray.space_checks import (
    drawable_trainings,
    label_problems,
    reads_texts,
    sample_sections,
    shape_problems,
    space_problems,
    student_shape,
    weight_problems,
)
from tests.tiny_sweep import tiny_config

SINGLE, _ = checked_data({"source": "hub", "name": "x", "labels": "topic"})
MULTI, _ = checked_data({"source": "hub", "name": "x", "labels": ["a", "b"]})


def tree(**sections: Any) -> dict[str, Any]:
    content = {name: DEFAULTS[name] for name in SEARCHABLE} | sections
    return {name: parse_tree(value, name) for name, value in content.items()}


def told(**sections: Any) -> list[str]:
    found = space_problems(tree(**sections), MULTI, Teacher())
    return [str(problem) for problem in dict.fromkeys(found)]


def test_the_samples_touch_every_method_with_its_own_options_only() -> None:
    method = {"choice": ["none", "magnitude", "random"]}
    space = tree(pruning={"method": method, "ratio": {"uniform": [0.2, 0.8]}, "scope": "layer"})
    found = [sections["pruning"] for sections in sample_sections(space)]
    assert {tuple(sorted(one.items())) for one in found} == {
        (("method", "none"),),
        (("method", "magnitude"), ("ratio", 0.2), ("scope", "layer")),
        (("method", "magnitude"), ("ratio", 0.8), ("scope", "layer")),
        (("method", "random"), ("ratio", 0.2)),
        (("method", "random"), ("ratio", 0.8)),
    }


def test_every_student_meets_every_way_to_teach() -> None:
    space = tree(
        student={"layers": {"choice": [1, 2, 3]}},
        distillation={"choice": [{"method": "logit"}, {"method": "hidden"}]},
    )
    pairs = {(s["student"]["layers"], s["distillation"]["method"]) for s in sample_sections(space)}
    assert pairs == set(product([1, 2, 3], ["logit", "hidden"]))


def test_every_item_of_a_pruning_list_is_touched() -> None:
    item = {"method": "random", "ratio": {"choice": [0.1, 0.2, 0.3]}}
    found = [sections["pruning"] for sections in sample_sections(tree(pruning=[item, item]))]
    ratios = {tuple(one["ratio"] for one in row) for row in found}
    assert ratios == {(0.1, 0.1), (0.2, 0.1), (0.3, 0.1), (0.1, 0.2), (0.1, 0.3)}


def test_a_default_space_has_no_problems() -> None:
    assert told() == []


def test_a_mistake_in_any_option_of_a_choice_is_found() -> None:
    choice = [{"method": "none"}, {"method": "random", "ratio": {"choice": [0.1, 1.5]}}]
    assert told(pruning={"choice": choice}) == ["pruning.ratio: must be less than 1, but got 1.5"]


def test_an_option_is_allowed_if_one_choosable_method_takes_it() -> None:
    method = {"choice": ["none", "hidden"]}
    assert told(distillation={"method": method, "hidden_weight": 0.1}) == []


@pytest.mark.parametrize(
    ("pruning", "message"),
    [
        (
            {"method": {"choice": ["none", "random"]}, "scope": "layer"},
            "pruning.scope: unknown key: none and random take no such option; known: ",
        ),
        (
            {"choice": [{"method": "magnitude", "scope": "layer"}, {"method": "none", "ratio": 1}]},
            "pruning.ratio: unknown key: none takes no such option; known: method",
        ),
        (
            [{"method": "none"}, {"method": "random", "ratoi": 0.1}],
            "pruning.1.ratoi: unknown key: random takes no such option; did you mean 'ratio'?",
        ),
    ],
)
def test_an_option_that_no_choosable_method_takes_is_an_unknown_key(
    pruning: Any, message: str
) -> None:
    (found,) = told(pruning=pruning)
    assert found.startswith(message)


def test_a_section_without_a_form_hides_no_other_problem() -> None:
    assert set(told(student=3, pruning=[4, {"method": "nne"}], training={"epochs": 0})) == {
        "student: must be a mapping, but got 3",
        "pruning.0: must be a mapping, but got 4",
        "pruning.1.method: no such method: 'nne'; did you mean 'none'?",
        "training.epochs: must be at least 1, but got 0",
    }


def test_students_are_checked_against_the_teacher_that_is_built() -> None:
    student = {"layers": {"randint": [1, 7]}}
    assert told(student=student) == [
        f"student.layers: must be at most the teacher's 4, but got {layers}" for layers in (5, 6)
    ]


def test_a_student_from_scratch_may_be_deeper_than_its_teacher() -> None:
    student = {"initial": "scratch", "architecture": {"layers": 6}}
    assert told(student=student) == []


def test_a_loaded_teacher_has_a_shape_only_once_it_is_loaded() -> None:
    space = tree(student={"layers": 9})
    assert space_problems(space, MULTI, Teacher(model="org/model")) == []
    assert space_problems(space, MULTI, None) == []


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ("uniform", None),
        ("last", None),
        ({4: 2}, None),
        ({5: 1}, "{5: 1} must lie within 4 teacher and 2 student layers"),
        ({1: 3}, "{1: 3} must lie within 4 teacher and 2 student layers"),
    ],
)
def test_a_layer_mapping_must_fit_both_models(mapping: Any, message: str | None) -> None:
    method = Hidden(layer_mapping=mapping)
    found = shape_problems(Student(layers=2), method, Shape(4, 128))
    expected = [] if message is None else [f"distillation.layer_mapping: {message}"]
    assert [str(problem) for problem in found] == expected


def test_a_student_has_the_shape_of_its_layers_or_of_its_architecture() -> None:
    teacher = Shape(6, 64)
    assert student_shape(Student(), teacher) == Shape(6, 64)
    assert student_shape(Student(layers=2), teacher) == Shape(2, 64)
    scratch = {"initial": "scratch", "architecture": {"layers": 3, "hidden_size": 32}}
    assert student_shape(Student.model_validate(scratch), teacher) == Shape(3, 32, heads=4)


def test_a_student_that_is_loaded_has_the_shape_of_what_it_starts_from_once_that_is_known() -> None:
    student, starts = Student(initial="org/deep"), {"org/deep": Shape(6, 32)}
    assert student_shape(student, Shape(4, 64)) is None
    assert student_shape(student, Shape(4, 64), starts) == Shape(6, 32)
    fewer = Student(initial="org/deep", layers=3)
    assert student_shape(fewer, Shape(4, 64), starts) == Shape(3, 32)


def test_a_student_that_is_loaded_is_checked_by_the_layers_that_it_has() -> None:
    starts, teacher = {"org/deep": Shape(6, 64)}, Shape(4, 64)
    student, method = Student(initial="org/deep"), Hidden()
    assert shape_problems(student, method, teacher) == []
    (problem,) = shape_problems(student, method, teacher, starts)
    assert problem.where == "distillation.layer_mapping"
    assert "needs a student with at most the teacher's 4 layers, but it has 6" in problem.message
    assert shape_problems(student, Hidden(layer_mapping={4: 6}), teacher, starts) == []
    (problem,) = shape_problems(Student(initial="org/deep", layers=7), method, teacher, starts)
    assert str(problem) == "student.layers: must be at most 6, which 'org/deep' has, but got 7"


def test_label_alpha_is_for_labels_that_are_there_and_for_multi_label_data_only() -> None:
    method = Hidden(label_alpha={"a": 0.1, "c": 0.2})
    assert [str(problem) for problem in label_problems(method, MULTI)] == [
        "distillation.label_alpha.c: no such label; known: a, b"
    ]
    assert [str(problem) for problem in label_problems(method, SINGLE)] == [
        "distillation.label_alpha: is for multi-label data, but the data are single-label"
    ]
    assert label_problems(method, None) == []


def test_class_weights_are_as_many_as_labels() -> None:
    assert label_problems(Hidden(class_weights=[1.0, 2.0]), MULTI) == []
    assert label_problems(Hidden(class_weights=[1.0]), SINGLE) == []
    assert weight_problems("x", "balanced", 3) == []
    (problem,) = weight_problems("x", [1.0], 3)
    assert str(problem) == "x.class_weights: must have 3 weights, one a label, but got 1"


def test_texts_are_read_if_anything_that_can_be_drawn_reads_them() -> None:
    methods = {"method": {"choice": ["none", "vocabulary"]}}
    assert reads_texts(tree(pruning=methods))
    assert reads_texts(tree(pruning=[{"method": "none"}, methods]))
    assert not reads_texts(tree(pruning={"method": {"choice": ["none", "magnitude"]}}))


def test_a_training_that_is_drawn_whole_is_seen_with_its_defaults(tmp_path: Path) -> None:
    training = {"choice": [{"epochs": 2}, {"epochs": 4, "batch_size": 16}]}
    drawable = drawable_trainings(tiny_config(tmp_path, training=training).space)
    assert {(t.epochs, t.batch_size) for t in drawable} == {(2, 32), (4, 16)}


def test_a_student_may_draw_how_it_classifies_and_a_mistake_in_it_is_told_by_its_key() -> None:
    drawn = {"choice": ["linear", {"hidden_size": {"randint": [8, 32]}}]}
    assert told(student={"pooling": {"choice": ["cls", "mean"]}, "head": drawn}) == []
    wrong = {"pooling": {"choice": ["cls", "maen"]}, "head": "lineer"}
    assert set(told(student=wrong)) == {
        "student.pooling: must be 'cls' or 'mean', but got 'maen'; did you mean 'mean'?",
        "student.head: must be 'linear' or a mapping, but got 'lineer'; did you mean 'linear'?",
    }
    assert told(student={"head": {"hidden_size": {"choice": [8, 0]}}}) == [
        "student.head.hidden_size: must be at least 1, but got 0"
    ]


def test_a_mistake_in_how_a_student_is_trained_is_told_by_its_key() -> None:
    right = {
        "gradient_accumulation": {"choice": [1, 4]},
        "gradient_checkpointing": {"choice": [False, True]},
        "early_stopping": {"choice": [None, {"patience": {"randint": [1, 4]}}]},
        "deterministic": True,
    }
    assert told(training=right) == []
    wrong = {
        "gradient_accumulation": 0,
        "gradient_checkpointing": "yes",
        "early_stopping": {"choice": [2, {"patience": 0}]},
        "deterministic": 1,
    }
    assert set(told(training=wrong)) == {
        "training.gradient_accumulation: must be at least 1, but got 0",
        "training.gradient_checkpointing: must be true or false, but got 'yes'",
        "training.early_stopping: must be a mapping, but got 2",
        "training.early_stopping.patience: must be at least 1, but got 0",
        "training.deterministic: must be true or false, but got 1",
    }
