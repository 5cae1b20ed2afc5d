"""Where the teacher and the students of the front are wrong on test.

It is told from what is on disk: the logits of each, and the targets. Rows are named by their place
in the test set, from 0; texts are there only if they may be shown.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdray.results.folder import PREDICTIONS, TEXTS, TRUTH, SweepFolder, write_json

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]
Arrays = Mapping[str, NDArray[Any]]

SPLIT, TEACHER = "test", "teacher"
MOST_OF_A_LABEL, MOST_LOST = 5, 10


@dataclass(frozen=True)
class Answers:
    """What one model decides, each of shape (examples, labels).

    Attributes:
        given: Whether an example is given the label; single-label: one a row.
        wrong: Whether the decision is wrong; single-label: at the class that was given.
        confidence: The probability of what was decided; single-label: of each class.
    """

    given: BoolArray
    wrong: BoolArray
    confidence: FloatArray

    @property
    def wrong_rows(self) -> BoolArray:
        """Whether anything is wrong with an example."""
        return np.asarray(self.wrong.any(1))


def write_errors(folder: SweepFolder, front: Sequence[str]) -> None:
    """Writes `errors.json`, if the teacher's predictions are on disk; else it is left as it is.

    Args:
        folder: The sweep's folder.
        front: The trials to tell of besides the teacher.
    """
    teacher, truth = read_arrays(folder.teacher / PREDICTIONS), read_arrays(folder.teacher / TRUTH)
    if not teacher or not truth:
        return
    students = {trial_id: read_arrays(folder.trial(trial_id) / PREDICTIONS) for trial_id in front}
    there = {trial_id: found for trial_id, found in students.items() if found}
    errors = analysis(truth, teacher, there)
    texts = folder.teacher / TEXTS
    if texts.is_file():
        all_texts = json.loads(texts.read_text(encoding="utf-8"))[SPLIT]
        errors["texts"] = {str(row): all_texts[row] for row in _named_rows(errors["models"])}
    write_json(folder.errors_json, errors)


def read_errors(folder: SweepFolder) -> dict[str, Any] | None:
    """Returns what is in `errors.json`, or None: a sweep of an older version has none."""
    if not folder.errors_json.is_file():
        return None
    errors: dict[str, Any] = json.loads(folder.errors_json.read_text(encoding="utf-8"))
    return errors


def read_arrays(file: Path) -> dict[str, NDArray[Any]]:
    """Returns the arrays of a `.npz` file by their names; none if there is no such file."""
    if not file.is_file():
        return {}
    with np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)


def analysis(truth: Arrays, teacher: Arrays, students: Mapping[str, Arrays]) -> dict[str, Any]:
    """Returns what `errors.json` holds.

    Args:
        truth: The targets of `test`, and the names of the `labels`.
        teacher: Its logits of `test`, and its `thresholds`.
        students: The same of each student, by its trial.

    Returns:
        `split`, `examples`, `labels`, `multi_label`, and in `models`, for the teacher and each
        student: `wrong` (how many examples), `most_confident` (by label, the wrong decisions with
        the highest probability: `row`, `confidence`, `truth` and `given` labels), and for students
        `lost` (`count`, and the most confident `rows`, where the teacher is right in all and the
        student is not) and `gained` (how many the other way round).
    """
    names = [str(name) for name in truth["labels"]]
    targets = _one_hot(truth[SPLIT], len(names))
    right = answers(teacher, truth[SPLIT])
    models = {TEACHER: _told(right, targets, names)}
    for trial_id, student in students.items():
        found = answers(student, truth[SPLIT])
        models[trial_id] = _told(found, targets, names) | _beside(right, found, targets, names)
    known = {"split": SPLIT, "examples": len(targets), "labels": names}
    return {**known, "multi_label": truth[SPLIT].ndim == 2, "models": models}


def probabilities(
    logits: NDArray[Any], *, multi_label: bool, temperature: float = 1.0
) -> FloatArray:
    """Returns σ(z / T) of each label of logits z, or softmax(z / T) over them if one is right.

    Args:
        logits: Shape (examples, labels).
        multi_label: Which of the two.
        temperature: T > 0, which softens.
    """
    z = logits / temperature
    if multi_label:
        # Where exp would be infinite, tanh is 1.
        return np.asarray(0.5 * (1 + np.tanh(0.5 * z)))
    powers = np.exp(z - z.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def answers(predictions: Arrays, targets: NDArray[Any]) -> Answers:
    """Returns what a model decides on test.

    Args:
        predictions: Logits, and thresholds of a multi-label model (0.5 if there are none).
        targets: (examples, labels) of 0 and 1: multi-label; (examples,): single-label.
    """
    logits = predictions[SPLIT]
    truth = _one_hot(targets, logits.shape[1])
    scores = probabilities(logits, multi_label=targets.ndim == 2)
    if targets.ndim == 1:
        given = _one_hot(logits.argmax(1), logits.shape[1])
        return Answers(given, given & ~truth, scores)
    limits = predictions.get("thresholds", np.zeros(0))
    given = scores > (limits if len(limits) else 0.5)
    return Answers(given, given != truth, np.where(given, scores, 1 - scores))


def _told(found: Answers, targets: BoolArray, names: Sequence[str]) -> dict[str, Any]:
    confident = {}
    for place, name in enumerate(names):
        rows = np.flatnonzero(found.wrong[:, place])
        best = _surest(rows, found.confidence[:, place])[:MOST_OF_A_LABEL]
        confident[name] = [
            _case(row, found.confidence[row, place], found, targets, names) for row in best
        ]
    return {"wrong": int(found.wrong_rows.sum()), "most_confident": confident}


def _beside(
    teacher: Answers, student: Answers, targets: BoolArray, names: Sequence[str]
) -> dict[str, Any]:
    sure = np.where(student.wrong, student.confidence, 0).max(1)
    lost = np.flatnonzero(~teacher.wrong_rows & student.wrong_rows)
    rows = [
        _case(row, sure[row], student, targets, names) for row in _surest(lost, sure)[:MOST_LOST]
    ]
    gained = int((teacher.wrong_rows & ~student.wrong_rows).sum())
    return {"lost": {"count": len(lost), "rows": rows}, "gained": gained}


def _case(
    row: int, confidence: float, found: Answers, targets: BoolArray, names: Sequence[str]
) -> dict[str, Any]:
    marked = {"truth": targets[row], "given": found.given[row]}
    labels = {
        key: [name for name, is_so in zip(names, row_marks, strict=True) if is_so]
        for key, row_marks in marked.items()
    }
    return {"row": int(row), "confidence": round(float(confidence), 4), **labels}


def _named_rows(models: Mapping[str, Any]) -> list[int]:
    rows = {
        case["row"]
        for model in models.values()
        for cases in [*model["most_confident"].values(), model.get("lost", {}).get("rows", [])]
        for case in cases
    }
    return sorted(rows)


def _surest(rows: NDArray[np.int64], confidence: FloatArray) -> NDArray[np.int64]:
    ordered: NDArray[np.int64] = rows[np.argsort(-confidence[rows], kind="stable")]
    return ordered


def _one_hot(targets: NDArray[Any], count: int) -> BoolArray:
    if targets.ndim == 2:
        return targets.astype(np.bool_)
    hot: BoolArray = np.arange(count) == targets[:, None]
    return hot
