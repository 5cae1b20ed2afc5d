"""A sweep in real Ray processes whose scheduler stops trials early."""

import io
import json
from pathlib import Path
from typing import Any

import mlflow
import pytest
from optuna.trial import TrialState
from rich.console import Console

from kdray.errors import SweepError
from kdray.reporting.reading import read_trials
from kdray.results.folder import SweepFolder
from kdray.sweep.opening import Launch
from kdray.sweep.run import run_sweep
from kdray.sweep.schedulers.early_stopping import EarlyStopping
from kdray.sweep.search import open_study
from tests.tiny_sweep import tiny_config

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]

# The first two learn. The others do not, so they are behind in the Brier score and no smaller.
RATES = [0.01, 0.02, 1e-9, 2e-9, 3e-9]
SPACE: dict[str, Any] = {
    "student": {"layers": 1},
    "pruning": None,
    "distillation": {"method": "logit", "alpha": 0.5},
    "training": {"epochs": 2, "batch_size": 8, "learning_rate": {"choice": RATES}},
    "objectives": {"brier": "minimize", "size_mb": "minimize"},
    "search": {
        "sampler": "none",
        "scheduler": "pareto_asha",
        "keep": "all",
        "points": [{"training.learning_rate": rate} for rate in RATES],
    },
    "resources": {"max_concurrent_trials": 1},
}


def test_ray_optuna_mlflow_and_the_tables_agree_on_trials_that_were_stopped_early(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers, reported = set(), list[tuple[str, int]]()
    decide = EarlyStopping.on_trial_result

    def spied(self: Any, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        workers.add((trial.config["trial_id"], result["pid"]))
        if "report" in result:
            reported.append((trial.config["trial_id"], result["epoch"]))
        return decide(self, tune_controller, trial, result)

    monkeypatch.setattr(EarlyStopping, "on_trial_result", spied)
    config, folder = tiny_config(output, name="stopping", **SPACE), SweepFolder(output / "stopping")
    text = io.StringIO()
    ended = run_sweep(config, folder, Launch(""), Console(file=text, width=200))

    assert ended.complete
    assert ended.summary["trials"] == {"completed": 2, "stopped_early": 3, "failed": 0}
    assert set(ended.summary["front"]) <= {"0000", "0001"}
    assert text.getvalue().count("stopped early after epoch 1") == 3
    assert len({pid for _, pid in workers}) == 1, "a stopped trial's worker was not used again"
    assert {trial_id for trial_id, _ in workers} == {"0000", "0001", "0002", "0003", "0004"}

    trials = open_study(config, folder, 0).get_trials()
    pruned = [trial for trial in trials if trial.state == TrialState.PRUNED]
    assert [trial.state for trial in trials[:2]] == [TrialState.COMPLETE] * 2
    assert len(pruned) == 3 == len(trials) - 2
    assert all(trial.values is None for trial in pruned)

    table = read_trials(folder).set_index("trial_id")
    assert table["status"].tolist() == ["completed"] * 2 + ["stopped_early"] * 3
    assert table["epochs"].tolist() == [2, 2, 1, 1, 1]
    # Those that waited and went on did no epoch twice, and are one trial to everyone.
    assert len(reported) == table["epochs"].sum() == len(set(reported))
    assert table["brier"].notna().all()
    assert (table["duration_s"] > 0).all()
    assert not table["on_front"][2:].any()
    assert {path.name for path in (folder.root / "students").iterdir()} == {"0000", "0001"}

    client = mlflow.MlflowClient(f"sqlite:///{output / 'mlflow.db'}")
    runs = [client.get_run(run_id) for run_id in table["mlflow_run_id"]]
    assert [run.data.tags["status"] for run in runs] == table["status"].tolist()
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run, epochs in zip(runs, table["epochs"], strict=True):
        assert len(client.get_metric_history(run.info.run_id, "train_loss")) == epochs

    again = run_sweep(config, folder, Launch(""), Console(file=io.StringIO()))
    assert again.summary["trials"] == ended.summary["trials"]


def test_a_sweep_of_which_every_trial_was_stopped_says_so_and_what_to_do(output: Path) -> None:
    # None of these learns, so none is better than the constant answer.
    space = SPACE | {
        "objectives": {"macro_f1": "maximize", "size_mb": "minimize"},
        "training": {"epochs": 2, "learning_rate": {"choice": [1e-9, 2e-9]}},
        "search": {
            "sampler": "none",
            "scheduler": {"name": "pareto_asha", "reduction_factor": 2},
            "points": [{"training.learning_rate": rate} for rate in (1e-9, 2e-9)],
        },
    }
    folder = SweepFolder(output / "guessing")
    with pytest.raises(SweepError, match=r"no trial completed(.|\n)*2 of 2 early(.|\n)*first_rung"):
        run_sweep(
            tiny_config(output, name="guessing", **space),
            folder,
            Launch(""),
            Console(file=io.StringIO()),
        )
    counts = json.loads(folder.summary_json.read_text())["trials"]
    assert counts == {"completed": 0, "stopped_early": 2, "failed": 0}
