"""`kdray best` on a real sweep."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kdray
from kdray.commands.taking import output_problems
from kdray.exporting import graph
from tests.conftest import Tiny
from tests.test_cli import run

pytestmark = pytest.mark.ray


def metrics_of(swept: Tiny, trial_id: str) -> dict[str, float]:
    table = pd.read_csv(swept.folder.trials_csv, dtype={"trial_id": str}).set_index("trial_id")
    return dict(table.loc[trial_id])


def called(swept: Tiny) -> str:
    """What a card calls the sweep, whose folder was typed as an absolute path."""
    return "/".join(swept.folder.root.parts[-2:])


def front(swept: Tiny) -> list[str]:
    found: list[str] = json.loads(swept.folder.summary_json.read_text())["front"]
    return found


def test_a_bound_on_any_metric_is_kept_to_and_the_answer_is_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], swept: Tiny
) -> None:
    smallest = min(metrics_of(swept, trial_id)["num_parameters"] for trial_id in front(swept))
    bound = f"num_parameters={smallest}"
    assert run(monkeypatch, "best", swept.folder.root, "--max", bound, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["metrics"]["num_parameters"] == smallest
    assert found["trial_id"] in front(swept)
    assert found["student"] == str(swept.folder.student(found["trial_id"]))
    assert (found["format"], found["use"][0]) == ("safetensors", "import kdray")
    assert run(monkeypatch, "best", swept.folder.root, "--min", "accuracy=1") == 2
    assert "no student on the front fulfils that" in capsys.readouterr().err


def test_everything_wrong_with_a_question_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], swept: Tiny, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    monkeypatch.setattr(graph, "_NEEDED", ("no_such_package",))
    arguments = ["--max", "size_mbb=1", "--format", "onnx", "--output", tmp_path / "mine"]
    assert run(monkeypatch, "best", swept.folder.root, *arguments) == 2
    said = capsys.readouterr().err
    assert "3 problems" in said
    assert "--max size_mbb=1: no such metric; did you mean 'size_mb'?" in said
    assert (
        '--format onnx: needs no_such_package, not installed here; `pip install "kdray[onnx]"`'
        in said
    )
    assert "holds something else" in said


def test_a_graph_needs_a_folder_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], swept: Tiny
) -> None:
    assert run(monkeypatch, "best", swept.folder.root, "--format", "onnx") == 2
    assert "--format onnx: writes a new folder: add --output DIR" in capsys.readouterr().err


@pytest.mark.parametrize("inside", [".", "teacher", "students/mine"])
def test_a_student_is_not_written_into_the_folder_of_a_sweep(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], swept: Tiny, inside: str
) -> None:
    output = swept.folder.root / inside
    before = sorted(swept.folder.root.rglob("*"))
    assert run(monkeypatch, "best", swept.folder.root, "--output", output) == 2
    assert f"lies in the folder of the sweep {swept.folder.root}" in capsys.readouterr().err
    assert sorted(swept.folder.root.rglob("*")) == before


def test_a_search_space_called_sweep_yaml_takes_no_folder_beside_it(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").touch()
    assert output_problems(tmp_path / "student", "safetensors") == []


@pytest.mark.parametrize("output", ["/proc/zz", "{}/file.csv/zz"])
def test_a_student_is_not_written_where_nothing_can_be(tmp_path: Path, output: str) -> None:
    (tmp_path / "file.csv").touch()
    (problem,) = output_problems(Path(output.format(tmp_path)), "safetensors")
    assert "cannot be written (" in problem.message


def test_the_command_on_the_card_has_every_digit_of_a_bound(
    monkeypatch: pytest.MonkeyPatch, swept: Tiny, tmp_path: Path
) -> None:
    fastest = min(float(metrics_of(swept, trial_id)["latency_ms"]) for trial_id in front(swept))
    output, bound = tmp_path / "mine", f"latency_ms={fastest!r}"
    assert run(monkeypatch, "best", swept.folder.root, "--max", bound, "--output", output) == 0
    card = (output / "README.md").read_text(encoding="utf-8")
    assert f"kdray best {called(swept)} --max {bound} --output student" in card


def test_a_student_leaves_with_its_card_and_its_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], swept: Tiny, tmp_path: Path
) -> None:
    output = tmp_path / "mine"
    assert run(monkeypatch, "best", swept.folder.root, "--within", 1, "--output", output) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()[-3:]]
    assert lines[1] == f"student = kdray.load_student('{output}')"
    student = kdray.load_student(output)
    assert student.card["columns"] == {"text": ["text"], "labels": list(student.labels.names)}
    card = (output / "README.md").read_text(encoding="utf-8")
    test = metrics_of(swept, student.card["trial_id"])["test_macro_f1"]
    assert f"{test:.3f} macro-F1 on test" in card
    assert f"kdray best {called(swept)} --within 1 --output student" in card
    assert f"kdray trial {called(swept)} {student.card['trial_id']} --output student" in card
    assert student.predict(["a text"]) is not None


def test_int8_leaves_measured_on_test_and_beside_torch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], swept: Tiny, tmp_path: Path
) -> None:
    output = tmp_path / "mine"
    arguments = ["--format", "onnx-int8", "--output", output, "--json"]
    assert run(monkeypatch, "best", swept.folder.root, *arguments) == 0
    found = json.loads(capsys.readouterr().out)
    onnx, trial_id = found["onnx"], found["trial_id"]
    assert found["format"] == "onnx-int8"
    assert onnx["size_mb"] == (output / "model.onnx").stat().st_size / 1e6
    assert onnx["difference"] <= 1e-4
    assert onnx["latency_ms"] > 0
    assert onnx["speedup"] > 0
    assert onnx["not_measured"] == ""
    rounded, torch = onnx["test"]["macro_f1"]
    assert torch == pytest.approx(metrics_of(swept, trial_id)["test_macro_f1"], abs=1e-6)
    assert abs(rounded - torch) < 0.2
    assert (
        f"| macro_f1 on test | {rounded:.3f} | {torch:.3f} |" in (output / "README.md").read_text()
    )

    monkeypatch.setattr(sys, "stdin", io.StringIO("you are lovely\n"))
    assert run(monkeypatch, "predict", output, "-", "--json") == 0
    (predicted,) = json.loads(capsys.readouterr().out)
    whole = kdray.load_student(swept.folder.student(trial_id)).probabilities(["you are lovely"])
    assert np.allclose(list(predicted["probabilities"].values()), whole[0], atol=0.1)


def test_int8_says_when_the_data_are_not_what_they_were(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], swept: Tiny, tmp_path: Path
) -> None:
    from kdray.commands import graphs

    monkeypatch.setattr(graphs, "_SAME_DATA", -1.0)
    arguments = ["--format", "onnx", "--output", tmp_path / "mine"]
    assert run(monkeypatch, "best", swept.folder.root, *arguments) == 0
    said = capsys.readouterr().out
    assert "quality on test not measured: the sweep's data are not what they were" in said
    assert "largest difference of a logit in float32" in said
    assert "import onnxruntime, tokenizers" in said


def test_the_best_is_registered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], swept: Tiny
) -> None:
    assert run(monkeypatch, "best", swept.folder.root, "--register") == 0
    assert "registered: models:/tiny@best" in capsys.readouterr().out
