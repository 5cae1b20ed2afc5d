"""A sweep in real Ray processes whose time is over while a trial runs."""

import io
import json
import time
from pathlib import Path
from typing import Any, Self

import mlflow
import pytest
from optuna.trial import TrialState
from rich.console import Console

from kdray.commands.reports import write_again
from kdray.commands.sweeps import show_end
from kdray.results.folder import SweepFolder
from kdray.sweep.opening import Launch
from kdray.sweep.run import Swept, run_sweep
from kdray.sweep.schedulers.in_time import InTime
from kdray.sweep.search import open_study
from kdray.sweep.time_budget import TimeBudget
from kdray.training.checkpoint import kept_epochs
from kdray.training.course import Checkpoints
from tests.tiny_sweep import ONE_BY_ONE, tiny_config

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]

EPOCHS = [1, 4, 1]
SPACE: dict[str, Any] = {
    "name": "late",
    "student": {"layers": 1},
    "pruning": None,
    "distillation": {"method": "logit", "alpha": 0.5},
    "training": {"epochs": {"choice": [1, 4]}},
    "search": {"sampler": "none", "points": [{"training.epochs": n} for n in EPOCHS]},
    "resources": ONE_BY_ONE,
}


class OneTrial(TimeBudget):
    """A budget of workers that is over at once, and of the driver when a trial was cut off."""

    @classmethod
    def from_now(cls, seconds: float | None) -> Self:
        return cls(time.time())

    def is_over(self) -> bool:
        self.ended = bool(self.cut_off)
        return self.ended


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every epoch that the driver heard of, and of which trial."""
    found = list[tuple[str, int]]()
    decide = InTime.on_trial_result

    def spied(self: Any, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if "report" in result:
            found.append((trial.config["trial_id"], result["epoch"]))
        return decide(self, tune_controller, trial, result)

    monkeypatch.setattr(InTime, "on_trial_result", spied)
    return found


def run(output: Path) -> tuple[Swept, SweepFolder]:
    folder = SweepFolder(output / "late")
    console = Console(file=io.StringIO())
    return run_sweep(tiny_config(output, **SPACE), folder, Launch(""), console), folder


def test_a_trial_that_runs_when_the_time_is_over_keeps_its_state_and_a_resume_goes_on_with_it(
    output: Path, monkeypatch: pytest.MonkeyPatch, reported: list[tuple[str, int]]
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("kdray.sweep.search.TimeBudget", OneTrial)
        swept, folder = run(output)
    assert (swept.complete, swept.out_of_time, swept.done, swept.trials) == (False, True, 1, 3)
    assert reported == [("0000", 1), ("0001", 1)]
    assert [result.trial_id for result in folder.results()] == ["0000"]
    kept = kept_epochs(Checkpoints(folder.checkpoint("0001"), 0.0))
    assert [report.epoch for report in kept] == [1]
    check_stores(output, folder)
    check_words(swept, folder)

    reported.clear()
    swept, folder = run(output)
    assert swept.complete
    assert sorted(reported) == [("0001", 2), ("0001", 3), ("0001", 4), ("0002", 1)]
    results = folder.results()
    assert [result.status for result in results] == ["completed"] * 3
    assert [result.epochs for result in results] == EPOCHS
    assert not (folder.root / "checkpoints").exists()
    assert "out_of_time" not in json.loads(folder.summary_json.read_text())


def check_stores(output: Path, folder: SweepFolder) -> None:
    """Optuna and MLflow hold the cut-off trial for one that is to be done again, not for failed."""
    states = [trial.state for trial in open_study(tiny_config(output, **SPACE), folder, 0).trials]
    assert states[:2] == [TrialState.COMPLETE, TrialState.FAIL]
    assert TrialState.RUNNING not in states
    client = mlflow.MlflowClient(f"sqlite:///{output / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("late")
    found = {
        run.data.tags.get("trial_id"): (run.info.status, run.data.tags.get("status"))
        for run in client.search_runs([experiment.experiment_id])
    }
    assert found["0001"] == ("KILLED", "interrupted")
    assert found[None][0] == "KILLED"


def check_words(swept: Swept, folder: SweepFolder) -> None:
    """The last line and the summary say how it ended, also when the report is made again."""
    text = io.StringIO()
    show_end(swept, folder, Console(file=text, width=200))
    said = "search.time_budget_s is over: 1 of 3 trials are done; go on with `kdray resume "
    assert text.getvalue().splitlines()[-1].startswith(said)
    for _ in range(2):
        summary = json.loads(folder.summary_json.read_text())
        assert (summary["complete"], summary["out_of_time"]) == (False, True)
        write_again(folder)
