import json
from typing import Any

import numpy as np
import pytest

from kdray.reporting.mistake_tables import mistakes
from kdray.reporting.mistakes import analysis, answers, read_errors, write_errors
from kdray.results.folder import PREDICTIONS, TEXTS, TRUTH, SweepFolder

from .conftest import MakeSweep, completed

LABELS = np.array(["bully", "spam"])
# Three texts: bully; spam; neither.
TARGETS = np.array([[1, 0], [0, 1], [0, 0]], np.float32)


def logit(*rows: Any) -> np.ndarray:
    p = np.array(rows, np.float32)
    return np.log(p / (1 - p)).astype(np.float32)


# The teacher misses the spam; the student finds it, misses the bully and sees two labels in none.
TEACHER = {"test": logit([0.9, 0.2], [0.1, 0.3], [0.2, 0.1])}
STUDENT = {"test": logit([0.4, 0.2], [0.1, 0.8], [0.7, 0.9])}


def told() -> dict[str, Any]:
    return analysis({"test": TARGETS, "labels": LABELS}, TEACHER, {"0003": STUDENT})


def test_wrong_decisions_are_told_by_label_the_most_confident_first() -> None:
    found = told()
    assert (found["split"], found["examples"], found["labels"]) == ("test", 3, ["bully", "spam"])
    missed = {"row": 1, "confidence": 0.7, "truth": ["spam"], "given": []}
    assert found["models"]["teacher"] == {
        "wrong": 1,
        "most_confident": {"bully": [], "spam": [missed]},
    }
    student = found["models"]["0003"]
    assert student["wrong"] == 2
    assert student["most_confident"]["bully"] == [
        {"row": 2, "confidence": 0.7, "truth": [], "given": ["bully", "spam"]},
        {"row": 0, "confidence": 0.6, "truth": ["bully"], "given": []},
    ]
    assert [case["row"] for case in student["most_confident"]["spam"]] == [2]


def test_where_the_teacher_is_right_and_the_student_wrong_and_the_other_way_round() -> None:
    student = told()["models"]["0003"]
    assert student["gained"] == 1
    assert student["lost"]["count"] == 2
    # By the most confident of its wrong decisions: 0.9 for spam, 0.6 for no bully.
    assert [(case["row"], case["confidence"]) for case in student["lost"]["rows"]] == [
        (2, 0.9),
        (0, 0.6),
    ]


def test_where_both_are_wrong_neither_has_lost_or_gained() -> None:
    truth = {"test": TARGETS, "labels": LABELS}
    same = analysis(truth, TEACHER, {"0003": TEACHER})["models"]["0003"]
    assert (same["wrong"], same["lost"], same["gained"]) == (1, {"count": 0, "rows": []}, 0)


def test_a_wrong_class_is_told_at_the_class_that_was_given() -> None:
    truth = {"test": np.array([0, 1, 2]), "labels": np.array(["a", "b", "c"])}
    wrong = {"test": np.log(np.array([[0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.3, 0.6, 0.1]]))}
    right = {"test": np.eye(3)}
    found = analysis(truth, right, {"0001": wrong})["models"]
    assert found["teacher"]["wrong"] == 0
    assert found["0001"]["most_confident"] == {
        "a": [],
        "b": [
            {"row": 0, "confidence": 0.7, "truth": ["a"], "given": ["b"]},
            {"row": 2, "confidence": 0.6, "truth": ["c"], "given": ["b"]},
        ],
        "c": [],
    }
    assert found["0001"]["lost"]["count"] == 2


def test_a_models_own_thresholds_decide() -> None:
    tuned = {**TEACHER, "thresholds": np.array([0.95, 0.25])}
    assert answers(tuned, TARGETS).given.tolist() == [[False, False], [False, True], [False, False]]
    extreme = answers({"test": np.array([[200.0, -200.0]], np.float32)}, TARGETS[:1])
    assert extreme.confidence.tolist() == [[1.0, 1.0]]


def test_most_confident_are_few() -> None:
    truth = {"test": np.zeros((40, 1), np.float32), "labels": np.array(["a"])}
    wrong = {"test": np.arange(1, 41, dtype=np.float32)[:, None]}
    student = analysis(truth, {"test": -wrong["test"]}, {"0001": wrong})["models"]["0001"]
    assert len(student["most_confident"]["a"]) == 5
    assert student["lost"]["count"] == 40
    assert len(student["lost"]["rows"]) == 10


def left(folder: SweepFolder, texts: bool) -> SweepFolder:
    np.savez(folder.teacher / PREDICTIONS, **TEACHER, thresholds=np.array([0.5, 0.5]))
    np.savez(folder.teacher / TRUTH, test=TARGETS, labels=LABELS)
    np.savez(folder.trial("0003") / PREDICTIONS, **STUDENT, thresholds=np.array([0.5, 0.5]))
    if texts:
        all_texts = {"test": ["you are dull", "claim it", "the <b>soup</b>"]}
        (folder.teacher / TEXTS).write_text(json.dumps(all_texts), encoding="utf-8")
    return folder


@pytest.mark.parametrize("texts", [True, False])
def test_texts_are_told_only_where_they_may_be(make_sweep: MakeSweep, texts: bool) -> None:
    folder = left(make_sweep(completed("0003", 0.7, 2)), texts)
    write_errors(folder, ["0003", "0009"])
    errors = read_errors(folder)
    assert errors is not None
    assert list(errors["models"]) == ["teacher", "0003"]
    named = {"0": "you are dull", "1": "claim it", "2": "the <b>soup</b>"}
    assert errors.get("texts") == (named if texts else None)


def test_a_sweep_without_predictions_has_no_errors(make_sweep: MakeSweep) -> None:
    folder = make_sweep(completed("0003", 0.7, 2))
    write_errors(folder, ["0003"])
    assert read_errors(folder) is None
    assert mistakes(None, None) is None


def test_the_section_tells_of_the_chosen_student_and_of_the_teacher() -> None:
    section = mistakes(told(), {"trial_id": "0003"})
    assert section is not None
    assert [(row["kind"], row["cells"]) for row in section["overview"]["rows"]] == [
        ("teacher", ["teacher", "1", "33.3 %", "–", "–"]),
        ("chosen", ["0003", "2", "66.7 %", "2", "1"]),
    ]
    assert [model["name"] for model in section["models"]] == ["trial 0003", "teacher"]
    student, teacher = section["models"]
    assert student["lost"]["rows"][0]["cells"] == ["2", "nothing", "bully, spam", "90.0 %"]
    assert teacher["lost"]["rows"] == []
    (missed,) = teacher["confident"]["rows"]
    assert missed["cells"] == ["spam", "1", "spam", "nothing", "70.0 %"]
