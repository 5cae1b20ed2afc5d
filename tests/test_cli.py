"""The command line as a user meets it; what it prints, and what it ends with."""

import json
import re
import sys
from pathlib import Path

import pytest

from kdray import cli
from kdray.distillation.regimes import REGIMES
from kdray.distillation.table import DISTILLATION
from kdray.models.student import load_student
from kdray.pruning.table import PRUNING
from tests.conftest import Tiny
from tests.tiny_sweep import write_space


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Runs a command in this process and returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["kdray", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_the_version_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--version") == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_wrong_input_is_one_message_on_stderr_and_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    space = write_space(tmp_path, trainin={"epochs": 1}, pruning={"ratio": 1.5})
    before = sorted(tmp_path.rglob("*"))
    assert run(monkeypatch, "sweep", space) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "space.yaml has 2 problems:" in said.err
    assert "trainin: unknown section; did you mean 'training'?" in said.err
    assert re.search(r"line \d+: pruning\.ratio: must be less than 1, but got 1\.5", said.err)
    assert "Traceback" not in said.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["swep"],
        ["sweep"],
        ["sweep", "no.yaml"],
        ["report", "no"],
        ["best", "no"],
        ["trial", "no"],
        ["ui"],
        ["ui", ".", "--port", "0"],
    ],
)
def test_a_command_line_that_is_wrong_ends_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert run(monkeypatch, *arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_every_method_is_printed_with_its_options_and_its_paper(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "methods") == 0
    printed = capsys.readouterr().out
    assert all(f"distillation.method: {name}" in printed for name in DISTILLATION)
    assert all(f"pruning.method: {name}" in printed for name in PRUNING)
    assert "https://arxiv.org/abs/1503.02531" in printed
    assert "temperature" in printed
    assert all(f"regime.name: {name}" in printed for name in REGIMES)
    papers = ("1902.03393", "1805.04770", "1706.00384", "1703.01780")
    assert all(f"https://arxiv.org/abs/{paper}" in printed for paper in papers)
    assert "required" in printed  # the assistants
    assert "0.999" in printed


def test_what_a_list_or_a_mapping_of_a_method_may_hold_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "methods") == 0
    printed = capsys.readouterr().out
    assert re.search(r"assistants +required +list of {layers: integer >= 1}", printed)
    assert re.search(r"label_alpha +{} +{\.\.\.: number >= 0 <= 1}", printed)
    assert re.search(r"class_weights +none +none, balanced or list of number > 0", printed)
    assert re.search(r"layer_mapping +uniform +uniform, last or {\.\.\.: integer >= 1}", printed)


def test_a_space_is_validated_with_every_pair_of_methods(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(monkeypatch, "validate", write_space(tmp_path)) == 0
    printed = capsys.readouterr().out
    for pair in ("none, logit", "none, multi_level", "magnitude, logit", "magnitude, multi_level"):
        assert f"{pair}: ok" in printed
    assert "distillation.alpha: a number from 0.1 to 0.9" in printed
    assert "estimated cost" in printed


def test_one_trial_runs_in_this_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    space, student = write_space(tmp_path), tmp_path / "student"
    settings = ["--set", "distillation.alpha=0.25", "--set", "student.layers=1"]
    assert run(monkeypatch, "trial", space, *settings, "--output", student) == 0
    assert "epoch 1 of 1" in capsys.readouterr().out
    assert load_student(student).probabilities(["a text"]).shape == (1, 5)


@pytest.mark.ray
def test_a_past_trial_is_done_again_exactly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], swept: Tiny
) -> None:
    for trial_id in ("0000", "0001", "0002"):
        assert run(monkeypatch, "trial", swept.folder.root, trial_id) == 0
        assert "macro_f1 is the same as in the sweep" in capsys.readouterr().out
    assert run(monkeypatch, "trial", swept.folder.root, "0009") == 2
    assert "has no trial '0009'; it has 0000 to 0002" in capsys.readouterr().err


@pytest.mark.ray
def test_a_trial_outside_of_the_sweep_is_not_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], swept: Tiny
) -> None:
    for trial_id in ("../trials/0000", "..", str(swept.folder.trial("0000"))):
        assert run(monkeypatch, "trial", swept.folder.root, trial_id) == 2
        assert f"{trial_id!r} cannot be a trial's id" in capsys.readouterr().err


@pytest.mark.ray
def test_a_report_is_made_again(monkeypatch: pytest.MonkeyPatch, swept: Tiny) -> None:
    names = ("trials.csv", "summary.json", "report.md")
    before = {name: (swept.folder.root / name).read_text() for name in names}
    for name in names[2:]:
        (swept.folder.root / name).unlink()
    assert run(monkeypatch, "report", swept.folder.root) == 0
    assert {name: (swept.folder.root / name).read_text() for name in names} == before


@pytest.mark.ray
def test_the_best_student_is_copied_out_ready_to_load(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    swept: Tiny,
    tmp_path: Path,
) -> None:
    front = json.loads(swept.folder.summary_json.read_text())["front"]
    assert run(monkeypatch, "best", swept.folder.root, "--output", tmp_path / "best") == 0
    assert "kdray.load_student(" in capsys.readouterr().out
    assert load_student(tmp_path / "best").card["trial_id"] in front
    assert run(monkeypatch, "best", swept.folder.root, "--max-size-mb", 0.000001) == 2
    assert "no student on the front fulfils that" in capsys.readouterr().err


@pytest.mark.ray
def test_a_second_sweep_of_the_same_name_takes_another_folder(
    monkeypatch: pytest.MonkeyPatch, swept: Tiny, tmp_path: Path
) -> None:
    space, output = write_space(tmp_path, search={"trials": 1}), swept.folder.root.parent
    assert run(monkeypatch, "sweep", space, "--output", output) == 0
    assert {path.name for path in output.glob("tiny*")} == {"tiny", "tiny-2"}
    assert (output / "tiny-2" / "report.html").exists()


def test_a_past_trial_takes_no_other_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(monkeypatch, "trial", tmp_path, "0000", "--set", "student.layers=2") == 2
    assert "a past trial is done again as it was" in capsys.readouterr().err
    assert run(monkeypatch, "trial", tmp_path) == 2
    assert "name one of its trials" in capsys.readouterr().err


@pytest.mark.ray
def test_a_student_is_not_copied_into_a_folder_of_something_else(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    swept: Tiny,
    tmp_path: Path,
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    assert run(monkeypatch, "best", swept.folder.root, "--output", tmp_path / "mine") == 2
    assert "holds something else" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.ray
def test_a_student_takes_the_place_of_another_student_whole(
    monkeypatch: pytest.MonkeyPatch, swept: Tiny, tmp_path: Path
) -> None:
    for _ in range(2):
        assert run(monkeypatch, "best", swept.folder.root, "--output", tmp_path / "s") == 0
        (tmp_path / "s" / "left-over.safetensors").touch()
    assert run(monkeypatch, "best", swept.folder.root, "--output", tmp_path / "s") == 0
    assert not (tmp_path / "s" / "left-over.safetensors").exists()


def test_a_name_may_be_a_number(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    space = write_space(tmp_path, seed=-1)
    assert run(monkeypatch, "sweep", space, "--name", "2024") == 2
    said = capsys.readouterr().err
    assert "seed" in said
    assert "has 1 problem:" in said
