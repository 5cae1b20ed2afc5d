import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from kdray import cli
from kdray.commands.listing import _console, _fitting, list_sweeps
from kdray.commands.overview import Overview, megabytes
from kdray.preparation import rebuild
from kdray.reporting.reading import read_summary, read_verification
from kdray.results.folder import SweepFolder, write_json
from kdray.sweep.lock import held
from kdray.sweep.opening import Launch
from kdray.sweep.run import run_sweep
from kdray.teacher.keeping import Place
from tests.conftest import Tiny
from tests.tiny_sweep import tiny_config

pytestmark = pytest.mark.ray


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def folder(swept: Tiny, tmp_path: Path) -> SweepFolder:
    """A finished sweep among other things, with all that a front does not need."""
    folder = SweepFolder(tmp_path / "runs" / "tiny")
    shutil.copytree(swept.folder.root, folder.root)
    for name in ("mlartifacts", "notes"):
        (tmp_path / "runs" / name).mkdir()
    (tmp_path / "runs" / "mlflow.db").touch()
    _fill(folder.student(_dominated(folder)))
    _fill(folder.checkpoint("0001"))
    _fill(folder.root / "trials" / ".0001.999999999")
    (folder.root / ".999999999.report.html").write_bytes(bytes(1000))
    return folder


def _fill(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(bytes(1000))


def _dominated(folder: SweepFolder) -> str:
    front = read_summary(folder)["front"]
    return next(one.trial_id for one in folder.results() if one.trial_id not in front)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["kdray", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> list[dict[str, Any]]:
    assert run(monkeypatch, "list", *arguments, "--json") == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def test_the_sweeps_of_a_folder_are_told_in_short(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: SweepFolder
) -> None:
    assert run(monkeypatch, "list", folder.root.parent) == 0
    head, row, hint = capsys.readouterr().out.splitlines()
    assert head.split("  ")[0] == "sweep"
    assert row.startswith("tiny")
    assert "done" in row
    assert "3 of 3" in row
    best = folder.result(read_summary(folder)["front"][0])
    assert best is not None
    assert f"{best.metrics['test_macro_f1']:.3f} at " in row
    assert "--clean` frees" in hint
    (found,) = listed(monkeypatch, capsys, folder.root)
    assert found["trials"] == {"completed": 3, "stopped_early": 0, "failed": 0}
    assert found["front"] == read_summary(folder)["front"]
    assert found["disk_mb"] > found["spare_mb"] > 0
    assert found["removed"] == []


def test_what_no_front_needs_is_removed_and_the_rest_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: SweepFolder
) -> None:
    spare = {
        folder.teacher_outputs,
        folder.student(_dominated(folder)),
        folder.checkpoint("0001"),
        folder.root / "trials" / ".0001.999999999",
        folder.root / ".999999999.report.html",
    }
    kept = {p for p in folder.root.rglob("*") if p.is_file() and spare.isdisjoint([p, *p.parents])}
    (before,) = listed(monkeypatch, capsys, folder.root.parent)
    assert set(map(Path, before["spare"])) == spare
    (done,) = listed(monkeypatch, capsys, folder.root.parent, "--clean")
    assert set(map(Path, done["removed"])) == spare
    assert {path for path in folder.root.rglob("*") if path.is_file()} == kept
    (after,) = listed(monkeypatch, capsys, folder.root.parent)
    assert before["disk_mb"] - after["disk_mb"] == pytest.approx(before["spare_mb"])
    assert after["spare"] == []
    assert run(monkeypatch, "list", folder.root.parent, "--clean") == 0
    assert "tiny: nothing to remove" in capsys.readouterr().out


def test_a_sweep_that_was_cleared_can_be_told_of_taken_from_and_done_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: SweepFolder
) -> None:
    assert run(monkeypatch, "list", folder.root.parent, "--clean") == 0
    assert "tiny: removed teacher/outputs, students/" in capsys.readouterr().out
    assert run(monkeypatch, "report", folder.root) == 0
    assert run(monkeypatch, "best", folder.root) == 0
    assert run(monkeypatch, "trial", folder.root, "0000") == 0
    assert "is the same as in the sweep" in capsys.readouterr().out
    assert not folder.teacher_outputs.exists()


def test_a_sweep_that_was_cleared_goes_on_with_outputs_that_are_computed_again(
    folder: SweepFolder, swept: Tiny
) -> None:
    folder.remove(folder.teacher_outputs)
    examples = read_verification(folder)["forward_examples"]
    rebuild(swept.config, Place(folder))
    files = {path.name for path in folder.teacher_outputs.iterdir()}
    assert files == {path.name for path in swept.folder.teacher_outputs.iterdir()}
    assert read_verification(folder)["forward_examples"] == examples + 200


def test_a_sweep_that_was_cleared_is_resumed_with_more_trials(output: Path, swept: Tiny) -> None:
    folder = SweepFolder(output / "cleared")
    shutil.copytree(swept.folder.root, folder.root)
    folder.tracking_json.unlink()
    list_sweeps(str(folder.root), clean=True)
    assert not folder.teacher_outputs.exists()
    more = tiny_config(output, search={"trials": 4}, tracking={"experiment": "cleared"})
    run_sweep(more, folder, Launch(""), Console(quiet=True))
    assert [one.status for one in folder.results()] == ["completed"] * 4
    assert folder.results()[:3] == swept.folder.results()
    assert list(folder.teacher_outputs.glob("*.npy"))


def test_a_sweep_that_is_being_run_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: SweepFolder
) -> None:
    with held(folder.optuna_log):
        (found,) = listed(monkeypatch, capsys, folder.root.parent, "--clean")
        assert run(monkeypatch, "list", folder.root.parent, "--clean") == 0
    assert found["state"] == "running"
    assert found["removed"] == []
    assert folder.teacher_outputs.exists()
    assert "tiny: nothing to remove, it is running" in capsys.readouterr().out


@pytest.mark.parametrize("how", ["told", "killed", "of an earlier version"])
def test_a_sweep_that_was_stopped_keeps_what_it_goes_on_from(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    folder: SweepFolder,
    how: str,
) -> None:
    summary = read_summary(folder)
    assert summary.pop("complete") is True
    if how == "killed":
        folder.summary_json.unlink()
    else:
        write_json(folder.summary_json, summary | ({"complete": False} if how == "told" else {}))
    if how == "of an earlier version":
        folder.remove(folder.trial("0002"))
    (found,) = listed(monkeypatch, capsys, folder.root.parent, "--clean")
    assert found["state"] == "stopped"
    assert found["spare"] == []
    assert folder.teacher_outputs.exists()


def test_a_sweep_whose_time_was_over_says_so_and_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: SweepFolder
) -> None:
    ended = {"complete": False, "out_of_time": True}
    write_json(folder.summary_json, read_summary(folder) | ended)
    (found,) = listed(monkeypatch, capsys, folder.root.parent)
    assert found["state"] == "stopped"
    assert found["notes"] == ["its time was over (search.time_budget_s); `kdray resume` goes on"]


def test_a_damaged_sweep_does_not_hide_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: SweepFolder
) -> None:
    for name, content in (("half", "config: {"), ("other", "- 1")):
        (folder.root.parent / name).mkdir()
        (folder.root.parent / name / "sweep.yaml").write_text(content)
    found = listed(monkeypatch, capsys, folder.root.parent)
    states = {one["name"]: one["state"] for one in found}
    assert states == {"half": "unreadable", "other": "unreadable", "tiny": "done"}
    assert all(one["notes"] for one in found if one["state"] == "unreadable")


def test_what_a_live_process_writes_and_what_is_an_only_copy_stay(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: SweepFolder
) -> None:
    alive = folder.root / f".{os.getpid()}.pareto.png"
    alive.touch()
    only, other = folder.trial("0000"), folder.trial("0001")
    shutil.copytree(other, other.with_name(".0001.999999999.old"))
    only.rename(only.with_name(".0000.999999999.old"))
    (found,) = listed(monkeypatch, capsys, folder.root.parent, "--clean")
    removed = {Path(path).name for path in found["removed"]}
    assert ".0001.999999999.old" in removed
    assert ".0000.999999999.old" not in removed
    assert alive.exists()


def test_all_weights_are_kept_where_all_were_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: SweepFolder
) -> None:
    written = folder.sweep_yaml.read_text()
    assert "keep: front" in written
    folder.sweep_yaml.write_text(written.replace("keep: front", "keep: all"))
    (found,) = listed(monkeypatch, capsys, folder.root.parent)
    assert str(folder.student(_dominated(folder))) not in found["spare"]


def test_a_file_that_two_sweeps_share_counts_once(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    _fill(first)
    second.mkdir()
    os.link(first / "file", second / "file")
    (second / "link").symlink_to(first)
    assert megabytes([first]) == 0.0005
    assert megabytes([tmp_path]) == pytest.approx(0.001, abs=2e-4)


@pytest.mark.parametrize("runs", ["nowhere", "s3://bucket/runs"])
def test_a_folder_that_is_not_of_this_machine_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, runs: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "list", runs) == 2
    assert runs in capsys.readouterr().err


def test_a_folder_without_sweeps_has_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(monkeypatch, "list", tmp_path) == 0
    assert capsys.readouterr().out == f"no sweeps in {tmp_path}\n"


MANY = Overview(
    "bangla-six-classes-with-a-long-name",
    "stopped",
    1.7e9,
    812.3,
    {"completed": 181, "stopped_early": 17, "failed": 2},
    240,
    ["0001", "0002"],
    {"trial_id": "0001", "metric": "macro_f1", "quality": 0.741, "size_mb": 3.1},
)


@pytest.mark.parametrize("width", [72, 80, 100, 160])
def test_a_narrow_terminal_gets_whole_words_and_fewer_columns(
    capsys: pytest.CaptureFixture[str], width: int
) -> None:
    console = Console(width=width, markup=False, force_terminal=True, color_system=None)
    console.print(_fitting([MANY], console))

    said = capsys.readouterr().out
    lines = said.splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0].split()[:5] == ["sweep", "state", "trials", "front", "headline"]
    assert "0.741 at 3.1 MB (0001)" in said
    assert "stopped" in said
    assert "200 of 240," in said
    assert "\u2026" not in said
    assert ("last at work" in said) == (width == 160)
    names = "".join(line.split("  ")[0] for line in lines[1:])
    assert names.startswith(MANY.name)


def test_a_pipe_has_room_for_a_sweep_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS")
    assert _console().width == 120


def test_listing_loads_neither_torch_nor_ray() -> None:
    code = "import sys, kdray.commands.listing; print(*{n.split('.')[0] for n in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "ray", "mlflow", "optuna", "pandas"} & set(done.stdout.split())
