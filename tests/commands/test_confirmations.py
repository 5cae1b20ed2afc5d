"""`kdray confirm` as a user meets it; that it trains is in tests/sweep/test_confirming.py."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from kdray import cli
from kdray.reporting.confirmation import confirmation_id
from kdray.reporting.reading import read_summary
from kdray.results.folder import SweepFolder, write_trial
from kdray.results.records import TrialResult
from tests.conftest import Tiny

pytestmark = pytest.mark.ray


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["kdray", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.fixture
def confirmed(swept: Tiny, tmp_path: Path) -> SweepFolder:
    """A sweep whose confirmations are on disk, with qualities that are easy to compute with."""
    folder = SweepFolder(tmp_path / "confirmed")
    shutil.copytree(swept.folder.root, folder.root)
    for trial_id in read_summary(folder)["front"]:
        for seed, value in ((1, 0.5), (2, 0.7)):
            metrics = {"macro_f1": value, "test_macro_f1": value + 0.1, "size_mb": 0.05}
            result = TrialResult(confirmation_id(trial_id, seed), "completed", {}, metrics)
            write_trial(folder.confirmations, result)
    return folder


def test_a_confirmed_front_is_printed_with_its_intervals_and_what_was_luck(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], confirmed: SweepFolder
) -> None:
    assert run(monkeypatch, "confirm", confirmed.root, "--seeds", 2) == 0
    lines = capsys.readouterr().out.splitlines()
    first = read_summary(confirmed)["front"][0]
    assert lines[0].split("  ")[0] == "trial"
    assert "macro-F1 in the sweep" in lines[0]
    (row,) = [line for line in lines if line.startswith(first)]
    assert "0.600 ± 1.271" in row
    assert "0.700 ± 1.271" in row
    assert any("over the other seeds alone" in line for line in lines)
    assert "with other seeds: none of it was luck." in lines[-1]
    assert (
        confirmed.root / "report.html"
    ).stat().st_mtime >= confirmed.confirmation_json.stat().st_mtime


def test_machines_get_one_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], confirmed: SweepFolder
) -> None:
    assert run(monkeypatch, "confirm", confirmed.root, "--seeds", 2, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["metric"] == "macro_f1"
    assert answer["trials"][0]["validation"] == pytest.approx(
        {"mean": 0.6, "half_width": 1.2706, "runs": 2}, abs=1e-4
    )
    assert answer["verdict"]["winner"] in read_summary(confirmed)["front"]


def test_all_that_is_wrong_is_told_at_once_and_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], confirmed: SweepFolder
) -> None:
    shutil.rmtree(confirmed.teacher)
    shutil.rmtree(confirmed.root / "trials")
    before = sorted(confirmed.root.rglob("*"))
    assert run(monkeypatch, "confirm", confirmed.root, "--seeds", 1) == 2
    said = capsys.readouterr().err
    assert "--seeds: must be 2 or more, as an interval needs two values, but got 1" in said
    assert "has no front to confirm" in said
    assert "has no teacher" in said
    assert "Traceback" not in said
    assert sorted(confirmed.root.rglob("*")) == before


def test_a_folder_that_is_no_sweep_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(monkeypatch, "confirm", tmp_path) == 2
    assert "sweep.yaml: no such file" in capsys.readouterr().err
