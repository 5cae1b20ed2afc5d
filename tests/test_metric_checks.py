from typing import Any

import pytest

from kdray.config.sections import Evaluation, Robustness
from kdray.config.teachers import Teacher, Verification
from kdray.data.base import Labels
from kdray.errors import ConfigError
from kdray.metric_checks import (
    check_measurable,
    checked_constraints,
    class_metric_problems,
    objective_problems,
    verification_problems,
)
from kdray.schema import checked_data
from tests.spaces import told as parsed

SINGLE, _ = checked_data({"source": "hub", "name": "x", "labels": "topic"})
MULTI, _ = checked_data({"source": "hub", "name": "x", "labels": ["a", "b"]})


def teacher(metric: str) -> Teacher:
    return Teacher(verify=Verification(metric=metric))


@pytest.mark.parametrize(
    ("objectives", "data"),
    [
        ({"macro_f1": "maximize", "size_mb": "minimize", "latency_ms": "minimize"}, MULTI),
        ({"f1_a": "maximize"}, MULTI),
        ({"ece": "minimize", "throughput": "maximize", "latency_p95_ms": "minimize"}, MULTI),
        ({"retention": "maximize", "speedup": "maximize", "size_share": "minimize"}, MULTI),
        ({"f1_anything": "maximize"}, SINGLE),
        ({"f1_anything": "maximize"}, None),
    ],
)
def test_known_metrics_in_their_direction_are_objectives(objectives: Any, data: Any) -> None:
    assert objective_problems(objectives, data, Evaluation()) == []


@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        ({"f1_c": "maximize"}, "objectives.f1_c: no such metric; did you mean 'f1_"),
        ({"size": "minimize"}, "objectives.size: no such metric; did you mean 'size_mb'?"),
        ({3: "minimize"}, "objectives.3: no such metric; known: accuracy, "),
        ({"loss_share_hard": "minimize"}, "objectives.loss_share_hard: no such metric"),
        (
            {"test_macro_f1": "maximize"},
            "objectives.test_macro_f1: is measured on test, which decides nothing; take "
            "'macro_f1' instead",
        ),
        ({"ood_ece": "minimize"}, "objectives.ood_ece: is measured out of domain, "),
        (
            {"noise_5_macro_f1": "maximize"},
            "objectives.noise_5_macro_f1: is not measured; ask for it with evaluation.robustness: "
            "{noise: [0.05]}",
        ),
        ({"noise_5_f1_a": "maximize"}, "objectives.noise_5_f1_a: no such metric"),
        ({"noise_5_size_mb": "minimize"}, "objectives.noise_5_size_mb: no such metric"),
        ({"ece": "maximize"}, "objectives.ece: must be 'minimize', but got 'maximize'"),
        ({"f1_a": "minimize"}, "objectives.f1_a: must be 'maximize', but got 'minimize'"),
        ({"ece": None}, "objectives.ece: must be 'minimize', but got null"),
        ({"ece": ["minimize"]}, "objectives.ece: must be 'minimize', but got ['minimize']"),
        ({}, "objectives: must map metrics to maximize or minimize"),
        ("macro_f1", "objectives: must map metrics to maximize or minimize"),
    ],
)
def test_an_objective_without_a_metric_or_direction_is_told(objectives: Any, message: str) -> None:
    (found,) = objective_problems(objectives, MULTI, Evaluation())
    assert str(found).startswith(message)


NOISY = Evaluation(robustness=Robustness(noise=[0.05, 0.2]))


def test_what_is_measured_under_noise_is_an_objective_like_any_other() -> None:
    objectives = {"noise_5_macro_f1": "maximize", "noise_20_ece": "minimize"}
    assert objective_problems(objectives, MULTI, NOISY) == []
    bounds = {"noise_20_macro_f1": {"minimum": 0.5}}
    assert checked_constraints(bounds, MULTI, NOISY) == (bounds, [])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "noise_10_macro_f1",
            "is not measured; ask for it with evaluation.robustness: {noise: [0.1]}; did you mean "
            "'noise_20_macro_f1'?",
        ),
        ("noise_5_macrof1", "no such metric; did you mean 'noise_5_macro_f1'?"),
        (
            "test_noise_5_ece",
            "is measured on test, which decides nothing; take 'noise_5_ece'",
        ),
    ],
)
def test_noise_that_is_not_asked_for_is_told_with_the_nearest(name: str, message: str) -> None:
    (objective,) = objective_problems({name: "maximize"}, MULTI, NOISY)
    _, (constraint,) = checked_constraints({name: {"minimum": 0.5}}, MULTI, NOISY)
    assert objective.message.startswith(message)
    assert constraint.message == objective.message


def test_noise_is_not_complained_of_where_the_section_that_asks_for_it_is_wrong() -> None:
    wrong = parsed("objectives: {noise_5_ece: minimize}\nevaluation: {robustness: {noise: [2]}}")
    assert wrong == ["line 2: evaluation.robustness.noise.0: must be at most 0.5, but got 2"]


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        ("[0.125]", "must be in whole percent, such as 0.05, but got 0.125"),
        ("[0.05, 0.05]", "holds 0.05 twice"),
        ("[]", "must be at least 1 long, but got []"),
        ("[0]", "must be greater than 0, but got 0"),
    ],
)
def test_shares_of_noise_are_whole_percents(noise: str, message: str) -> None:
    (problem,) = parsed(f"evaluation: {{robustness: {{noise: {noise}}}}}")
    assert message in problem


def test_a_metric_that_the_teacher_has_no_value_of_cannot_be_measured() -> None:
    measured = {"macro_f1": 0.0, "size_mb": 1.0}
    objectives: Any = {"size_mb": "minimize", "retention": "maximize", "size_share": "minimize"}
    with pytest.raises(ConfigError) as caught:
        check_measurable(objectives, ["noise_5_auroc", "speedup"], measured)
    assert [str(problem) for problem in caught.value.problems] == [
        "objectives.retention: cannot be measured: the teacher's macro_f1 is 0",
        "constraints.noise_5_auroc: cannot be measured: not every class is in validation",
    ]
    check_measurable(objectives, [], measured | {"macro_f1": 0.5})


@pytest.mark.parametrize(
    ("metric", "data", "message"),
    [
        ("macro_f1", MULTI, None),
        ("f1_a", MULTI, None),
        ("f1_sports", SINGLE, None),
        ("f1_c", MULTI, "no such metric: 'f1_c'; did you mean 'f1_"),
        ("speedup", MULTI, "measures no quality: 'speedup'; known: accuracy, "),
        ("ece", MULTI, "measures no quality: 'ece'; "),
    ],
)
def test_a_teacher_is_verified_by_a_metric_of_quality(
    metric: str, data: Any, message: str | None
) -> None:
    found = [str(problem) for problem in verification_problems(teacher(metric), data)]
    assert len(found) == (message is not None)
    assert not found or found[0].startswith(f"teacher.verify.metric: {message}")


def test_a_class_that_is_not_there_is_told_once_the_data_are_read() -> None:
    labels = Labels(("news", "sports"), "single_label")
    objectives = {"f1_sport": "maximize", "f1_news": "maximize", "size_mb": "minimize"}
    found = class_metric_problems(objectives, ["f1_sprots"], teacher("f1_new"), labels)
    assert [str(problem) for problem in found] == [
        "objectives.f1_sport: no such class: 'f1_sport'; did you mean 'f1_sports'?",
        "constraints.f1_sprots: no such class: 'f1_sprots'; did you mean 'f1_sports'?",
        "teacher.verify.metric: no such class: 'f1_new'; did you mean 'f1_news'?",
    ]
    assert class_metric_problems(["f1_news"], ["f1_sports"], teacher("macro_f1"), labels) == []


@pytest.mark.parametrize(
    ("constraints", "data"),
    [
        ({}, MULTI),
        ({"size_mb": {"maximum": 2}, "macro_f1": {"minimum": 0.7}}, MULTI),
        ({"f1_a": {"minimum": 0.5}, "retention": {"minimum": 0.9}}, MULTI),
        ({"f1_anything": {"minimum": 0.5}, "latency_ms": {"maximum": 5.0}}, SINGLE),
        ({"f1_anything": {"minimum": 0.5}}, None),
    ],
)
def test_every_validation_metric_may_be_constrained(constraints: Any, data: Any) -> None:
    assert checked_constraints(constraints, data, Evaluation()) == (constraints, [])


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        ({"size": {"maximum": 2}}, "constraints.size: no such metric; did you mean 'size_mb'?"),
        ({3: {"maximum": 2}}, "constraints.3: no such metric; known: accuracy, "),
        (
            {"test_macro_f1": {"minimum": 0.7}},
            "constraints.test_macro_f1: is measured on test, which decides nothing; take "
            "'macro_f1' instead",
        ),
        ({"test_f1_a": {"minimum": 0.7}}, "constraints.test_f1_a: is measured on test, which "),
        ({"ood_ece": {"maximum": 0.1}}, "constraints.ood_ece: is measured out of domain, "),
        ({"test_f1_c": {"minimum": 0.7}}, "constraints.test_f1_c: no such metric; "),
        ({"size_mb": 2}, "constraints.size_mb: must be a mapping, but got 2"),
        ({"size_mb": {}}, "constraints.size_mb: needs a `minimum` or a `maximum`"),
        ({"size_mb": {"max": 2}}, "constraints.size_mb.max: unknown key; did you mean 'maximum'?"),
        ({"size_mb": {"maximum": "2"}}, "constraints.size_mb.maximum: must be a number, but got '"),
        (
            {"size_mb": {"maximum": 1, "minimum": 2}},
            "constraints.size_mb: minimum 2 is above maximum 1",
        ),
        (["size_mb"], "constraints: must map metrics to bounds, such as {size_mb: {maximum: 2.0}}"),
    ],
)
def test_a_constraint_without_a_metric_or_a_bound_is_told(constraints: Any, message: str) -> None:
    (found,) = checked_constraints(constraints, MULTI, Evaluation())[1]
    assert str(found).startswith(message)
