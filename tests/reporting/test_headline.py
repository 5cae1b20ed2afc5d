from typing import Any

import pytest

from kdray.reporting.headline import against, choose, quality_metric, sentence

from .conftest import TEACHER, completed

OBJECTIVES: dict[str, Any] = {"macro_f1": "maximize", "size_mb": "minimize"}


def row(trial_id: str, macro_f1: float, size_mb: float, **metrics: float) -> dict[str, Any]:
    return {"trial_id": trial_id, **completed(trial_id, macro_f1, size_mb, **metrics).metrics}


def without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def test_headline_in_words():
    student = row("0001", 0.76, 2.1, test_macro_f1=0.752)

    assert sentence(student, TEACHER, "macro_f1") == (
        "0.752 macro-F1 on test at 2.1 MB: 98.9 % of the teacher at 26 % of its size, "
        "2.4 times faster"
    )


def test_headline_says_when_quality_is_from_validation():
    student = without(row("0001", 0.77, 4), "test_macro_f1", "speedup", "latency_ms")

    assert sentence(student, TEACHER, "macro_f1") == (
        "0.770 macro-F1 on validation at 4.0 MB: 100.0 % of the teacher at 50 % of its size"
    )


def test_headline_without_anything_of_the_teacher_is_short():
    assert sentence(row("0001", 0.7, 4), {}, "macro_f1").startswith("0.690 macro-F1 on test at")
    assert "teacher" not in sentence(row("0001", 0.7, 4), {}, "macro_f1")


def test_slower_student_is_called_slower():
    assert sentence(row("0001", 0.7, 4, latency_ms=8.0, speedup=0.5), TEACHER, "macro_f1").endswith(
        "2.0 times slower"
    )


@pytest.mark.parametrize(
    "timed",
    [
        {"latency_ms": 2.0, "latency_p95_ms": 9.0},
        {"latency_ms": 4.1, "latency_p95_ms": 4.2, "teacher_latency_ms": 1.9, "speedup": 3.2},
    ],
)
def test_a_speed_up_beside_other_work_is_hedged(timed: dict[str, float]):
    student = row("0001", 0.76, 2.1, **timed)

    assert sentence(student, TEACHER, "macro_f1").endswith(" times faster, timed on a busy machine")
    assert ", about " in sentence(student, TEACHER, "macro_f1")


def test_a_speed_up_that_the_latencies_agree_with_is_told_as_it_is():
    timed = {"latency_ms": 2.0, "latency_p95_ms": 3.9, "teacher_latency_ms": 4.0, "speedup": 2.1}

    told = sentence(row("0001", 0.76, 2.1, **timed), TEACHER, "macro_f1")

    assert told.endswith("of its size, 2.1 times faster")


def test_speed_up_comes_from_the_latencies_if_it_was_not_measured():
    student = without(row("0001", 0.7, 4), "speedup")

    assert against(student, TEACHER, "macro_f1").speedup == 2.0


def test_chosen_is_the_best_of_at_most_half_the_size():
    front = [row("0001", 0.5, 1), row("0002", 0.7, 4), row("0003", 0.75, 5)]

    assert choose(front, TEACHER, OBJECTIVES) is front[1]


def test_chosen_is_decided_on_validation():
    front = [row("0001", 0.5, 1, test_macro_f1=0.9), row("0002", 0.7, 4, test_macro_f1=0.1)]

    assert choose(front, TEACHER, OBJECTIVES) is front[1]


def test_chosen_is_the_knee_if_none_is_small():
    front = [row("0001", 0.5, 5), row("0002", 0.74, 5.5), row("0003", 0.75, 7.9)]

    assert choose(front, TEACHER, OBJECTIVES) is front[1]


def test_nothing_is_chosen_from_an_empty_front():
    assert choose([], TEACHER, OBJECTIVES) is None


def test_quality_is_the_first_objective_that_is_one():
    assert quality_metric({"size_mb": "minimize", "accuracy": "maximize"}, TEACHER) == "accuracy"
    assert quality_metric({"size_mb": "minimize"}, TEACHER) == "macro_f1"
    assert quality_metric({"size_mb": "minimize"}, {}) == "size_mb"
