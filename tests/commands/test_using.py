"""`kdray evaluate` and `kdray predict` on stored students."""

import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kdray
from kdray.data.base import Labels
from kdray.models.student import Student, save_student
from tests import tiny
from tests.conftest import Tiny
from tests.test_cli import run

PAIR = {"columns": {"text": ["premise", "hypothesis"], "labels": "verdict"}}


def stored(folder: Path, labels: Labels = tiny.MULTI, **changes: object) -> Path:
    """A stored student, and texts in a file with its labels."""
    thresholds = (0.2, 0.5, 0.8) if labels.kind == "multi_label" else ()
    made = Student(tiny.model(labels), tiny.tokenizer(), labels, tiny.LENGTH, thresholds)
    save_student(Student(**{**vars(made), **changes}), folder)
    return folder


def file_of(folder: Path, name: str = "data.csv", **columns: object) -> Path:
    given = {
        "text": tiny.TEXTS,
        "bully": [1, 0, 0, 0],
        "threat": [0, 0, 1, 0],
        "spam": [0, 1, 0, 0],
    }
    frame = pd.DataFrame({**given, **columns})
    frame = frame.drop(columns=[column for column in frame if (frame[column] == "gone").all()])
    file = folder / name
    if file.suffix == ".parquet":
        frame.to_parquet(file)
    elif file.suffix == ".jsonl":
        frame.to_json(file, orient="records", lines=True)
    else:
        frame.to_csv(file, index=False)
    return file


@pytest.mark.ray
def test_a_student_of_a_sweep_has_the_metrics_of_the_sweep_on_its_test_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], swept: Tiny, tmp_path: Path
) -> None:
    config = swept.config
    test = config.data.read(config.base, config.seed).splits["test"]
    test.to_csv(tmp_path / "test.csv", index=False)
    for trial_id in json.loads(swept.folder.summary_json.read_text())["front"]:
        student = swept.folder.student(trial_id)
        assert run(monkeypatch, "evaluate", student, tmp_path / "test.csv", "--json") == 0
        found = json.loads(capsys.readouterr().out)
        assert found["examples"] == 80
        result = swept.folder.result(trial_id)
        assert result is not None
        known = {n: v for n, v in result.metrics.items() if n.startswith("test_")}
        assert len(found["metrics"]) > 10
        for name, value in found["metrics"].items():
            assert value == pytest.approx(known[f"test_{name}"], abs=1e-6), name


@pytest.mark.parametrize("name", ["data.csv", "data.parquet", "data.jsonl"])
def test_tuned_thresholds_decide(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    name: str,
) -> None:
    student = stored(tmp_path / "student")
    scores = kdray.load_student(student).probabilities(list(tiny.TEXTS))
    truth = (scores > [0.2, 0.5, 0.8]).astype(int)
    columns = dict(zip(tiny.MULTI.names, truth.T, strict=True))
    assert run(monkeypatch, "evaluate", student, file_of(tmp_path, name, **columns)) == 0
    said = capsys.readouterr().out
    assert "accuracy" in said
    assert "thresholds: bully 0.2, spam 0.8; others 0.5" in said
    assert run(monkeypatch, "evaluate", student, file_of(tmp_path, name, **columns), "--json") == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["accuracy"] == 1.0


def test_labels_that_no_example_has_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    student = stored(tmp_path / "student")
    assert run(monkeypatch, "evaluate", student, file_of(tmp_path, spam=[0, 0, 0, 0])) == 0
    assert "no example has spam: F1 counts 0 there" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"text": "gone", "comment": tiny.TEXTS},
            "--text: .* has no column 'text'; it has bully, threat, spam, comment",
        ),
        ({"spam": "gone"}, "FILE: .* has no column 'spam'; it has text, bully, threat"),
        ({"spam": ["", 1, 0, 0]}, "'spam' must hold 0 or 1, but row 0 holds ''"),
        ({"text": ["", "a", "b", "c"]}, "1 rows have an empty text: 0"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    columns: dict[str, object],
    message: str,
) -> None:
    student = stored(tmp_path / "student")
    assert run(monkeypatch, "evaluate", student, file_of(tmp_path, **columns)) == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_class_column_is_for_students_of_classes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    student, file = stored(tmp_path / "student"), file_of(tmp_path)
    assert run(monkeypatch, "evaluate", student, file, "--label", "spam") == 2
    assert "--label: the student gives any number of labels" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["no.csv", "data.xlsx", "-"])
def test_a_file_that_is_not_there_or_of_another_kind_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    assert run(monkeypatch, "evaluate", stored(tmp_path / "student"), tmp_path / name) == 2
    assert "FILE: " in capsys.readouterr().err


def test_classes_stand_in_one_column_that_has_to_be_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    student = stored(tmp_path / "student", tiny.SINGLE)
    file = file_of(tmp_path, verdict=["good", "bad", "ugly", "good"])
    assert run(monkeypatch, "evaluate", student, file) == 2
    assert "--label: is needed" in capsys.readouterr().err
    assert run(monkeypatch, "evaluate", student, file, "--label", "verdict", "--json") == 0
    assert "accuracy" in json.loads(capsys.readouterr().out)["metrics"]

    file = file_of(tmp_path, verdict=["good", "odd", "", "good"])
    assert run(monkeypatch, "evaluate", student, file, "--label", "verdict") == 2
    said = capsys.readouterr().err
    assert "classes that never occur in the training data: 'odd'" in said
    assert "1 rows have no class: 2" in said


def test_a_student_of_pairs_reads_two_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    student = stored(tmp_path / "student", tiny.SINGLE, card=PAIR)
    file = file_of(tmp_path, premise=tiny.TEXTS, hypothesis=tiny.TEXTS[::-1])
    assert run(monkeypatch, "predict", student, file) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    pairs = list(zip(tiny.TEXTS, tiny.TEXTS[::-1], strict=True))
    loaded = kdray.load_student(student)
    assert list(table["verdict"]) == [name for (name,) in loaded.predict(pairs)]
    likely = table[[f"probability_{name}" for name in tiny.SINGLE.names]]
    assert np.allclose(likely, loaded.probabilities(pairs), atol=1e-6)

    assert run(monkeypatch, "predict", student, file, "--text", "premise") == 2
    assert "reads 2 text column(s), but got 1" in capsys.readouterr().err
    assert run(monkeypatch, "predict", student, "-") == 2
    assert "reads pairs of texts" in capsys.readouterr().err


def test_predictions_are_a_file_that_can_be_evaluated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    student, output = stored(tmp_path / "student"), tmp_path / "predicted.csv"
    file = file_of(tmp_path, text="gone", comment=tiny.TEXTS)
    asked = ["predict", student, file, "--text", "comment", "--output"]
    assert run(monkeypatch, *asked, output) == 0
    assert capsys.readouterr().out == ""
    table = pd.read_csv(output)
    assert list(table["comment"]) == list(tiny.TEXTS)
    assert run(monkeypatch, "evaluate", student, output, "--text", "comment", "--json") == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["accuracy"] == 1.0
    assert run(monkeypatch, *asked, tmp_path / "predicted.txt") == 2
    assert "must end in .csv" in capsys.readouterr().err


def test_texts_are_read_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    student = stored(tmp_path / "student")
    monkeypatch.setattr(sys, "stdin", io.StringIO("you are lovely\n\nthe soup is silly\n"))
    assert run(monkeypatch, "predict", student, "-", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    loaded = kdray.load_student(student)
    assert [one["text"] for one in found] == ["you are lovely", "the soup is silly"]
    assert [one["labels"] for one in found] == loaded.predict([one["text"] for one in found])
