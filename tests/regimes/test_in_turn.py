"""Generations: who teaches each of them, and how it begins."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from kdray.config.teachers import Cache
from kdray.models.building import ModelState, freeze, thaw
from kdray.models.inference import predict_logits
from kdray.models.outputs import NOTHING, Needs
from kdray.preparation import PreparedSweep
from kdray.pruning.base import Prunable
from kdray.regimes import in_turn
from kdray.schema import TrialConfig
from kdray.staff import Appoint, Setting
from kdray.teacher.cache import Plan
from kdray.teacher.lessons import Lessons
from kdray.teacher.outputs import TeacherOutputs
from kdray.teachers import teacher_digest
from kdray.trial import run_trial

Trial = Callable[..., TrialConfig]
TWICE = {"name": "progressive", "assistants": [{"layers": 2}, {"layers": 1}]}
AGAIN = {"name": "born_again", "generations": 3}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[ModelState]]:
    """The students before and after each training, and those who then taught."""
    found: dict[str, list[ModelState]] = {"begun": [], "taught": [], "teachers": []}
    distil, by_former = in_turn.distil, in_turn.by_former_student

    def watched(students: Sequence[Prunable], setting: Setting, appoint: Appoint) -> Prunable:
        found["begun"] += [freeze(student.model) for student in students]
        student = distil(students, setting, appoint)
        found["taught"].append(freeze(student.model))
        return student

    def teaching(teacher: ModelState, *others: Any) -> Appoint:
        found["teachers"].append(teacher)
        return by_former(teacher, *others)

    monkeypatch.setattr(in_turn, "distil", watched)
    monkeypatch.setattr(in_turn, "by_former_student", teaching)
    return found


@pytest.mark.parametrize("regime", [TWICE, AGAIN], ids=["progressive", "born_again"])
def test_each_generation_is_taught_by_the_student_before(
    sweep: PreparedSweep, trial: Trial, seen: dict[str, list[ModelState]], regime: Any
) -> None:
    run_trial(trial(regime=regime), sweep)
    former = [teacher_digest(state) for state in seen["taught"]]
    assert len(set(former)) == 3
    assert [teacher_digest(state) for state in seen["teachers"]] == former[:-1]


def test_what_a_former_student_says_is_what_its_weights_say(
    sweep: PreparedSweep, trial: Trial, seen: dict[str, list[ModelState]]
) -> None:
    run_trial(trial(regime=AGAIN), sweep)
    teacher, train_set = seen["teachers"][0], sweep.splits["train"]
    expected = predict_logits(thaw(teacher), train_set)
    assert np.allclose(outputs_of(teacher, sweep, Cache()).array("logits"), expected, atol=1e-5)


def outputs_of(
    teacher: ModelState, sweep: PreparedSweep, cache: Cache, needs: Needs = NOTHING
) -> TeacherOutputs:
    appoint = in_turn.by_former_student(teacher, sweep.splits["train"], cache)
    (staff,) = appoint([None]).teachers  # type: ignore[list-item]
    lessons = staff.lessons(needs)
    assert isinstance(lessons, Lessons)
    return lessons._outputs


# Of 192 examples: two bytes for each of three logits, and for each of sixteen features.
@pytest.mark.parametrize(
    ("cache", "plan"),
    [
        ({}, Plan(memory=("logits", "features"))),
        ({"where": "disk"}, Plan(disk=("logits", "features"))),
        ({"where": "off"}, Plan(in_loop=("logits", "features"))),
        # Four trials side by side have a quarter of the budget each, of which `memory` takes 0.8.
        ({"where": "memory", "budget_mb": 0.02}, Plan(memory=("logits",), in_loop=("features",))),
        ({"budget_mb": 0.02}, Plan(memory=("logits",), disk=("features",))),
    ],
    ids=["auto", "disk", "off", "little memory", "little of both"],
)
def test_what_a_former_student_says_is_kept_as_the_sweep_keeps_its_teachers(
    sweep: PreparedSweep, monkeypatch: pytest.MonkeyPatch, cache: Any, plan: Plan
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4 * torch.get_num_threads())
    found = outputs_of(sweep.teacher, sweep, Cache(**cache), Needs(features=True))
    assert found.plan == plan
    assert found.columns.keys() == set(plan.kept)


def test_the_sweeps_own_cache_decides(
    sweep: PreparedSweep, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Cache] = []
    by_former, regime = in_turn.by_former_student, {"name": "born_again", "generations": 2}

    def noted(teacher: ModelState, train_set: Any, cache: Cache) -> Appoint:
        asked.append(cache)
        return by_former(teacher, train_set, cache)

    monkeypatch.setattr(in_turn, "by_former_student", noted)
    off = Cache(where="off")
    without = run_trial(trial(regime=regime), replace(sweep, cache=off)).logits["test"]
    assert asked == [off]
    assert np.allclose(without, run_trial(trial(regime=regime), sweep).logits["test"], atol=1e-2)


def test_another_assistant_gives_another_student(sweep: PreparedSweep, trial: Trial) -> None:
    assistants = ([], [{"layers": 2}], [{"layers": 1}], [{"layers": 2}, {"layers": 1}])
    regimes = [
        {"name": "progressive", "assistants": some} if some else {"name": "single"}
        for some in assistants
    ]
    students = [run_trial(trial(regime=one), sweep).logits["test"] for one in regimes]
    for index, one in enumerate(students):
        assert not any(np.array_equal(one, other) for other in students[:index])


def test_assistants_begin_as_layers_of_the_teacher_and_the_student_as_it_is_asked_to(
    sweep: PreparedSweep, trial: Trial, seen: dict[str, list[ModelState]]
) -> None:
    run_trial(trial(regime=TWICE), sweep)
    two, one, student = seen["begun"]
    assert [state.config["num_hidden_layers"] for state in seen["begun"]] == [2, 1, 1]
    name = "bert.encoder.layer.{}.output.dense.weight"
    of_teacher = [sweep.teacher.weights[name.format(layer)] for layer in (0, 1, 2)]
    assert np.array_equal(two.weights[name.format(0)], of_teacher[1])
    assert np.array_equal(two.weights[name.format(1)], of_teacher[2])
    assert np.array_equal(one.weights[name.format(0)], of_teacher[2])
    assert not np.array_equal(student.weights[name.format(0)], of_teacher[2])


def test_each_born_again_student_begins_as_the_first(
    sweep: PreparedSweep, trial: Trial, seen: dict[str, list[ModelState]]
) -> None:
    run_trial(trial(regime=AGAIN), sweep)
    assert len({teacher_digest(state) for state in seen["begun"]}) == 1


def test_the_first_generation_is_the_student_of_a_trial_without_generations(
    sweep: PreparedSweep, trial: Trial, seen: dict[str, list[ModelState]]
) -> None:
    run_trial(trial(regime=AGAIN), sweep)
    alone = run_trial(trial(), sweep).student.model
    assert teacher_digest(freeze(alone)) == teacher_digest(seen["taught"][0])
