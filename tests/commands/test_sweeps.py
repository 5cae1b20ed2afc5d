"""`kdray resume` with other resources: a real sweep, which was done, goes on."""

import json
from pathlib import Path

import pytest
import yaml

from tests.command_line import kdray
from tests.tiny_sweep import write_space


@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
def test_a_sweep_goes_on_with_other_resources_and_in_another_experiment(output: Path) -> None:
    space = write_space(output, name="moved", resources={"cpus_per_trial": 2})
    kdray("sweep", space, "--output", output, "--trials", 1)
    root = output / "moved"
    was = json.loads((root / "tracking.json").read_text())
    asked = ["--set", "resources.cpus_per_trial=1", "--set", "tracking.experiment=elsewhere"]
    said = kdray("resume", root, "--trials", 2, *asked)
    told = "search.trials from 1 to 2, resources.cpus_per_trial from 2.0 to 1.0, tracking.experi"
    assert f"changed: {told}" in said
    written = yaml.safe_load((root / "sweep.yaml").read_text())
    assert written["config"]["resources"]["cpus_per_trial"] == written["slot"]["cpus"] == 1.0
    now = json.loads((root / "tracking.json").read_text())
    assert now["experiment_id"] != was["experiment_id"]
    assert _recorded(output, now["experiment_id"]) == ["0000", "0001"]
    assert "2 of 2" in kdray("list", output)
    assert "changed:" not in kdray("resume", root), "it is written down, and stays"


def _recorded(output: Path, experiment: str) -> list[str]:
    from mlflow import MlflowClient

    runs = MlflowClient(f"sqlite:///{output / 'mlflow.db'}").search_runs([experiment])
    return sorted(run.data.tags["trial_id"] for run in runs if "trial_id" in run.data.tags)


def test_what_may_not_change_is_refused_on_the_command_line(tmp_path: Path) -> None:
    said = kdray("resume", tmp_path, "--set", "training.epochs=3", code=2)
    assert "training.epochs: may not change in a sweep that has begun" in said
