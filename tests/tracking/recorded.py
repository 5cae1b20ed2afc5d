"""Sweeps as they are recorded, without the trials: folders with results and students."""

import json
from pathlib import Path
from typing import Any

import mlflow
import yaml

from kdray.results.folder import SweepFolder, write_json, write_text, write_trial
from kdray.results.records import TrialResult
from kdray.tracking.record import SweepRecord

CONFIG: dict[str, Any] = {
    "seed": 0,
    "data": {"source": "synthetic", "text": "text", "labels": ["a", "b"], "train_rows": 20},
    "objectives": {"macro_f1": "maximize", "size_mb": "minimize"},
}
DIGEST = "0123456789abcdef" * 4


def client(output: Path) -> Any:
    """Returns a client of the store that sweeps in a folder have."""
    return mlflow.MlflowClient(f"sqlite:///{output / 'mlflow.db'}")


def prepared(root: Path, **data: Any) -> SweepFolder:
    """Returns the folder of a sweep that is prepared, with other values of `data`."""
    folder = SweepFolder(root)
    config = CONFIG | {"data": CONFIG["data"] | data}
    write_text(folder.sweep_yaml, yaml.safe_dump({"config": config}))
    write_text(folder.verification_json, json.dumps({"data_digest": DIGEST}))
    return folder


def write_student(folder: SweepFolder, trial_id: str) -> None:
    """Writes a finished trial and what looks like its student."""
    parameters = {"student.layers": 2, "pruning.method": "none", "student.initial": "hub/a.b"}
    metrics = {"macro_f1": 0.5 + int(trial_id) / 100, "size_mb": 1.5}
    write_trial(folder, TrialResult(trial_id, "completed", parameters, metrics))
    card = {"labels": ["a", "b"], "kind": "multi_label"}
    write_text(folder.student(trial_id) / "kdray.json", json.dumps(card))
    write_text(folder.student(trial_id) / "model.safetensors", "weights")


def summary(*front: str, knee: str | None = None) -> dict[str, Any]:
    """Returns what matters of `summary.json`."""
    found = {"front": list(front), "teacher": {}, "hypervolume": 0.5, "trials": {}}
    return found | ({"knee": knee or front[0]} if front else {})


def finish(folder: SweepFolder, ended: dict[str, Any], uri: str | None = None) -> SweepRecord:
    """Records a sweep that goes on and ends at once."""
    write_json(folder.summary_json, ended)
    record = SweepRecord(folder, uri, None)
    record.open({})
    record.finish(ended, True)
    return record


def models(folder: SweepFolder) -> dict[str, Any]:
    """Returns the models of a sweep by their trials; each trial has one."""
    own = client(folder.root.parent)
    experiment = own.get_experiment_by_name(folder.name)
    found = list(own.search_logged_models([experiment.experiment_id]))
    by_trial = {model.tags["trial_id"]: model for model in found}
    assert len(by_trial) == len(found)
    return by_trial
