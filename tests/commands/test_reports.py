import json
import sys
from pathlib import Path
from typing import Any

import pytest

from kdray import cli
from kdray.results.folder import SweepFolder
from kdray.results.records import TrialResult
from tests.reporting.conftest import MakeSweep, completed, make_sweep

__all__ = ["make_sweep"]


class Kdray:
    """Runs `kdray` in this process; what it printed is in `out` and `err`."""

    def __init__(self, monkeypatch: Any, capsys: Any, make: MakeSweep) -> None:
        self.monkeypatch, self.capsys, self.make = monkeypatch, capsys, make
        self.out = self.err = ""

    def __call__(self, *arguments: object) -> int:
        self.monkeypatch.setattr(sys, "argv", ["kdray", "report", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        self.out, self.err = self.capsys.readouterr()
        return int(ended.value.code or 0)

    def sweep(self, name: str, *trials: TrialResult, **config: Any) -> Path:
        made = self.make(*trials, **config)
        root = made.root.rename(made.root.with_name(name))
        assert self(root) == 0
        return root


@pytest.fixture
def kdray(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    make_sweep: MakeSweep,
) -> Kdray:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("kdray.reporting.page.png", lambda chart: chart.name.encode())
    return Kdray(monkeypatch, capsys, make_sweep)


def test_a_report_tells_its_headline_and_where_it_is(kdray: Kdray) -> None:
    root = kdray.sweep("a", completed("0001", 0.74, 3.9))

    assert kdray.out.startswith("0.730 macro-F1 on test at 3.9 MB: 96.1 % of the teacher")
    assert kdray.out.endswith(f"report: {root / 'report.html'}\n")


def test_a_report_goes_where_it_is_published(kdray: Kdray, tmp_path: Path) -> None:
    root = kdray.sweep("a", completed("0001", 0.74, 3.9))
    before = (root / "report.html").stat().st_mtime_ns

    assert kdray(root, "--output", tmp_path / "reports" / "a") == 0

    names = {file.name for file in (tmp_path / "reports" / "a").iterdir()}
    assert names == {"report.html", "report.md", "figures", "pareto.png", "trials.csv"}
    assert (root / "report.html").stat().st_mtime_ns == before


def test_machines_get_numbers_as_from_any_other_command(kdray: Kdray) -> None:
    root = kdray.sweep("a", completed("0001", 0.74, 3.9))

    assert kdray(root, "--json") == 0

    told = json.loads(kdray.out)
    (student,) = told["front"]
    assert (student["trial_id"], student["macro_f1"], student["size_mb"]) == ("0001", 0.74, 3.9)
    assert told["headline"].startswith("0.730 macro-F1 on test")
    assert told["take"] == f"kdray best {root} --max-size-mb 3.9 --output student"
    assert told["teacher"]["macro_f1"] == 0.77
    assert told["files"][0] == str(root / "report.html")


def test_several_sweeps_share_a_report_beside_that_of_the_first(kdray: Kdray) -> None:
    first = kdray.sweep("a", completed("0001", 0.74, 3.9))
    second = kdray.sweep("b", completed("0001", 0.7, 2))
    before = (first / "report.html").stat().st_mtime_ns

    assert kdray(first, second, "--json") == 0

    told = json.loads(kdray.out)
    assert told["name"] == "a + b"
    assert [row["trial"] for row in told["front"]] == ["b/0001", "a/0001"]
    assert [sweep["name"] for sweep in told["sweeps"]] == ["a", "b"]
    assert told["take"] == f"kdray best {first} --max-size-mb 3.9 --output student"
    assert told["files"][0] == str(first / "report-with-b" / "report.html")
    assert (first / "report.html").stat().st_mtime_ns == before


def test_many_sweeps_have_a_short_name(kdray: Kdray, tmp_path: Path) -> None:
    roots = [kdray.sweep(name, completed("0001", 0.74, 3.9)) for name in "abcde"]

    assert kdray(*roots) == 0

    assert f"report: {tmp_path / 'a' / 'report-with-b-and-c-and-2-more'}" in kdray.out


def test_what_cannot_be_reported_is_told_before_anything_is_written(
    kdray: Kdray, tmp_path: Path
) -> None:
    first = kdray.sweep("a", completed("0001", 0.74, 3.9))
    second = kdray.sweep("b", completed("0001", 0.7, 2), objectives={"macro_f1": "maximize"})
    file = tmp_path / "file"
    file.write_text("x", encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))

    assert kdray(first, second) == 2
    assert "its objectives are maximize macro_f1" in kdray.err
    assert kdray(first, first, "--output", file) == 2
    assert "is named twice" in kdray.err
    assert "is a file; give a folder" in kdray.err
    assert kdray(first, "--output", "s3://bucket/x") == 2
    assert "is a URI" in kdray.err
    assert kdray(tmp_path / "no", first) == 2
    assert "no such file" in kdray.err
    assert sorted(tmp_path.rglob("*")) == before
    assert not SweepFolder(tmp_path / "no").exists()
