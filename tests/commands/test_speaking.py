"""`--json` and `--quiet`: what goes to stdout, and what does not."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from kdray import cli
from kdray.commands.speaking import print_table
from kdray.distillation.table import DISTILLATION
from kdray.json_schema import search_space_schema
from kdray.models.student import load_student
from tests.conftest import Tiny
from tests.tiny_sweep import write_space

Run = Callable[..., tuple[str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process; returns its stdout and its stderr."""

    def run(*arguments: object, code: int = 0) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["kdray", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capfd.readouterr()
        assert int(ended.value.code or 0) == code, said.err
        return said.out, said.err

    return run


def started(*arguments: object) -> tuple[str, str]:
    """Runs a command in a process of its own; returns its stdout and its stderr."""
    command = [sys.executable, "-m", "kdray", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=True)
    return done.stdout, done.stderr


def test_methods_and_the_schema_are_one_document(run: Run) -> None:
    methods = json.loads(run("methods", "--json")[0])
    assert list(methods["distillation"]) == list(DISTILLATION)
    logit = methods["distillation"]["logit"]
    assert "https://arxiv.org/abs/1503.02531" in logit["papers"]
    assert logit["options"]["alpha"]["default"] == 0.7
    assert logit["options"]["alpha"]["values"] == {"type": "number", "minimum": 0, "maximum": 1}
    assert methods["regime"]["progressive"]["options"]["assistants"]["required"]
    assert json.loads(run("schema")[0]) == search_space_schema()


def test_a_table_is_printed_in_full_on_a_narrow_console() -> None:
    table = Table("trial", "distillation", "regime", box=None)
    table.add_row("0003", "multi_level", "born_again")
    out = io.StringIO()
    console = Console(file=out, width=20)
    print_table(table, console)
    (head, row) = out.getvalue().splitlines()
    assert head.split() == ["trial", "distillation", "regime"]
    assert row.split() == ["0003", "multi_level", "born_again"]
    assert console.width == 20


def test_a_schema_is_written_and_an_editor_told_of_it(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "space.json"
    printed, _ = run("schema", "--profile", "--output", file)
    assert f"# yaml-language-server: $schema={file}" in printed
    assert "output" in json.loads(file.read_text())["properties"]
    assert "cannot be written" in run("schema", "--output", file / "x", code=2)[1]


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "student", "texts.csv", "--output", "/proc/x.csv"],
        ["report", "runs/mine", "--output", "/proc/x"],
        ["init", "/proc/x.yaml"],
        ["schema", "--output", "/proc/x"],
        ["trial", "space.yaml", "--output", "/proc/x"],
    ],
)
def test_an_output_that_cannot_be_written_is_told_before_any_work(run: Run, words: list[str]):
    assert "/proc/x" in (said := run(*words, code=2)[1])
    assert "cannot be written (" in said
    assert "Traceback" not in said


def test_what_validate_finds_is_one_document_and_the_rest_goes_to_stderr(tmp_path: Path) -> None:
    out, err = started("validate", write_space(tmp_path), "--json")
    found = json.loads(out)
    assert found["sizes"] == {"train": 200, "validation": 80, "test": 80}
    assert [one["name"] for one in found["tried"]][:2] == ["none, logit", "none, multi_level"]
    assert found["configurations"] is None
    assert found["drawn"]["distillation.alpha"] == ["a number from 0.1 to 0.9"]
    assert found["cost"]["trials"] == 3
    assert found["cost"]["trial_s"] > 0
    assert "none, logit: ok" in err


def test_a_mistake_stays_on_stderr_and_keeps_its_exit_code(run: Run, tmp_path: Path) -> None:
    space = write_space(tmp_path, training={"epochs": 0})
    for command in ("validate", "sweep", "trial"):
        out, err = run(command, space, "--json", code=2)
        assert out == ""
        assert "training.epochs: must be at least 1" in err


def test_a_quiet_validate_prints_what_it_found_alone(run: Run, tmp_path: Path) -> None:
    one = ["--set", "distillation.method=logit", "--set", "pruning={method: none}"]
    out, err = run("validate", write_space(tmp_path), *one, "--quiet")
    assert "estimated cost" in out
    assert "ok" not in out
    assert err == ""


def test_a_trial_is_one_document_with_its_metrics(run: Run, tmp_path: Path) -> None:
    student = tmp_path / "student"
    settings = ["--set", "student.layers=1", "--output", student]
    out, err = run("trial", write_space(tmp_path), *settings, "--json")
    found = json.loads(out)
    assert 0 <= found["metrics"]["macro_f1"] <= 1
    assert found["parameters"].keys() >= {"distillation.method", "distillation.alpha"}
    assert load_student(found["student"]).labels.kind == "multi_label"
    assert "epoch 1 of 1" in err


@pytest.mark.slow
@pytest.mark.ray
def test_a_sweep_is_one_document_with_its_front(tmp_path: Path) -> None:
    space, output = write_space(tmp_path), tmp_path / "runs"
    out, err = started("sweep", space, "--output", output, "--json")
    found, folder = json.loads(out), output / "tiny"
    assert found["folder"] == str(folder)
    assert found["complete"] is True
    assert found["trials"]["completed"] == 3
    summary = json.loads((folder / "summary.json").read_text())
    assert [row["trial_id"] for row in found["front"]] == summary["front"]
    assert all(
        {"macro_f1", "size_mb", "distillation.method"} <= row.keys() for row in found["front"]
    )
    assert found["headline"]
    assert "[3/3] trial" in err
    quiet, nothing = started("resume", folder, "--quiet")
    assert "report:" in quiet
    assert "[3/3]" not in quiet
    assert nothing == ""


@pytest.mark.ray
def test_a_past_trial_says_whether_it_came_out_the_same(run: Run, swept: Tiny) -> None:
    found = json.loads(run("trial", swept.folder.root, "0000", "--json", "--quiet")[0])
    assert found["same"] is True
    assert found["metrics"][found["metric"]] == found["before"]
    assert found["student"] is None
