import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml
from matplotlib.figure import Figure
from playwright.sync_api import Browser, sync_playwright

from kdray.reporting.report import write_report
from kdray.reporting.summary import write_tables
from kdray.results.folder import SweepFolder, write_json, write_trial
from kdray.results.records import EpochReport, TrialResult

from .browser import Opened

TEACHER = {
    "macro_f1": 0.77,
    "accuracy": 0.7,
    "f1_spam": 0.8,
    "ece": 0.05,
    "size_mb": 8.0,
    "num_parameters": 2_000_000,
    "macs": 50_000_000,
    "latency_ms": 4.0,
    "test_macro_f1": 0.76,
    "test_accuracy": 0.69,
}
KEPT = {"memory_mb": 1.5, "disk_mb": 0.0, "in_loop": [], "reused": False}
CONSTANT = {"macro_f1": 0.31, "accuracy": 0.4}


class MakeSweep(Protocol):
    def __call__(self, *trials: TrialResult, **config: Any) -> SweepFolder: ...


@pytest.fixture
def make_sweep(tmp_path: Path) -> MakeSweep:
    """Makes a finished sweep's folder, as a sweep leaves it before its report."""

    def make(*trials: TrialResult, **config: Any) -> SweepFolder:
        folder = SweepFolder(tmp_path / "demo")
        folder.teacher.mkdir(parents=True)
        folder.sweep_yaml.write_text(yaml.safe_dump(sweep_file(**config)), encoding="utf-8")
        folder.verification_json.write_text(json.dumps(verification()), encoding="utf-8")
        for trial in trials:
            epoch = EpochReport(1, 2, trial.metrics, {"loss": 0.5}, 1.0)
            write_trial(folder, trial, [epoch])
        return folder

    return make


class Reports:
    def __init__(self, make: MakeSweep) -> None:
        self.make = make

    def __call__(self, *trials: TrialResult, **config: Any) -> tuple[str, str]:
        return written(self.make(*trials, **config))


def written(folder: SweepFolder) -> tuple[str, str]:
    write_tables(folder, duration_s=75.0, busy_s=90.0)
    write_report(folder)
    names = ("report.html", "report.md")
    html, markdown = ((folder.root / name).read_text(encoding="utf-8") for name in names)
    return html, markdown


@pytest.fixture
def reports(make_sweep: MakeSweep, monkeypatch: pytest.MonkeyPatch) -> Reports:
    # Figures are most of a report's time, and these tests are about its words.
    monkeypatch.setattr("kdray.reporting.report.pareto_figure", lambda *_: Figure(figsize=(1, 1)))
    monkeypatch.setattr("kdray.reporting.page.png", lambda chart: chart.name.encode())
    return Reports(make_sweep)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path is not None, "Chromium is not installed; .ci/run does it"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def folder(make_sweep: MakeSweep) -> SweepFolder:
    trials = [
        completed("0000", 0.62, 1.0004),
        completed("0001", 0.70, 1.9),
        completed("0002", 0.74, 3.1),
        completed("0003", 0.755, 5.25),
        completed("0004", 0.65, 4.0),
        stopped("0005", 0.5, 1.2),
        failed("0006", "<script>alert(1)</script>"),
    ]
    made = make_sweep(*trials, evaluation={"baselines": True})
    # Some of them lie on the marks of the front.
    for number, value in enumerate((0.55, 0.699, 0.739, 0.756)):
        write_trial(made.baselines, replace(trials[number], metrics={"macro_f1": value}))
    write_tables(made, duration_s=75.0, busy_s=90.0)
    runs = {
        f"000{trial}": [{"seed": n, "metrics": {"macro_f1": mean + n / 200}} for n in (-1, 0, 1)]
        for trial, mean in enumerate((0.6, 0.7, 0.741, 0.754))
    }
    write_json(made.confirmation_json, {"seeds": [1, 2, 3], "trials": runs})
    write_report(made)
    return made


@pytest.fixture
def open_report(browser: Browser, folder: SweepFolder) -> Iterator[Any]:
    opened: list[Opened] = []

    def show(**options: Any) -> Opened:
        opened.append(Opened(browser, folder.root / "report.html", **options))
        return opened[-1]

    yield show
    for one in opened:
        one.context.close()


def sweep_file(**config: Any) -> dict[str, Any]:
    return {
        "config": {
            "name": "demo",
            "seed": 7,
            "student": {"layers": {"choice": [1, 2]}, "weights": "float32"},
            "pruning": {"method": {"choice": ["none", "magnitude"]}, "ratio": {"uniform": [0, 1]}},
            "distillation": {"method": "logit", "alpha": {"uniform": [0.1, 0.9]}, "temperature": 4},
            "training": {"learning_rate": {"loguniform": [0.0001, 0.002]}},
            "objectives": {"macro_f1": "maximize", "size_mb": "minimize"},
            "tracking": {"uri": None},
            **config,
        },
        "versions": {"torch": "2.13.0", "ray": "2.60.0"},
        "git_commit": "0123abc",
        "kdray": "0.1.0",
        "command": "kdray sweep search_spaces/demo.yaml",
    }


def verification(**changes: Any) -> dict[str, Any]:
    return {
        "passed": True,
        "problems": [],
        "metric": "macro_f1",
        "minimum": 0.4,
        "metrics": TEACHER,
        "constant": CONSTANT,
        "forward_examples": 3000,
        "teacher_outputs": KEPT,
        **changes,
    }


def completed(trial_id: str, macro_f1: float, size_mb: float, **metrics: float) -> TrialResult:
    measured = {
        "macro_f1": macro_f1,
        "test_macro_f1": macro_f1 - 0.01,
        "size_mb": size_mb,
        "latency_ms": 2.0,
        "speedup": 2.43,
        "num_parameters": int(size_mb * 250_000),
    }
    parameters = {
        "student.layers": 2,
        "pruning.method": "magnitude",
        "pruning.ratio": 0.41327,
        "distillation.alpha": 0.7,
        "training.learning_rate": 0.0004,
    }
    return TrialResult(
        trial_id, "completed", parameters, {**measured, **metrics}, epochs=2, selected_epoch=2
    )


def stopped(trial_id: str, macro_f1: float, size_mb: float) -> TrialResult:
    metrics = {"macro_f1": macro_f1, "size_mb": size_mb}
    return TrialResult(trial_id, "stopped_early", {"student.layers": 1}, metrics, epochs=1)


def failed(trial_id: str, error: str = "the loss is NaN") -> TrialResult:
    return TrialResult(trial_id, "failed", {"student.layers": 1}, {}, stage="distil", error=error)
