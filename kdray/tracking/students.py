"""The students of the front as models of MLflow: each a model of its trial's run.

A model is READY when all of it is there; what a crash left half done is done again in the same one.
"""

import json
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from kdray import __version__
from kdray.results.folder import SweepFolder
from kdray.tracking.connecting import read_config, text_columns
from kdray.tracking.place import SWEEP_TAG
from kdray.tracking.runs import TrialRuns, trial_name
from kdray.tracking.served import STUDENT, TRUSTED
from kdray.tracking.writing import is_refused

# What MLflow does not take in the name of a model.
_NOT_IN_NAMES = str.maketrans(dict.fromkeys("/:.%\"'", "_"))
_EXAMPLE = "This is an example of a text."


def keep_student(runs: TrialRuns, folder: SweepFolder, trial_id: str) -> Any:
    """Stores the student of a trial, if it is not stored yet, and marks it as on the front.

    Args:
        runs: The runs of the sweep.
        folder: Its folder.
        trial_id: A trial on the front.

    Returns:
        MLflow's model; None if the trial has no run, or no weights are kept.
    """
    client, run_id = runs.client, runs.ids.get(trial_id)
    if run_id is None:
        return None
    model = _model(runs, trial_id)
    if model is not None and _is_ready(model):
        _mark(client, model, on_front=True)
        return model
    if not folder.student(trial_id).is_dir():
        return None
    model = model or _create(runs, folder, trial_id)
    run = client.get_run(run_id)
    _link(client, run, model)
    if not model.metrics:
        _measure(client, run, model)
    _upload(client, folder, trial_id, model)
    return client.finalize_logged_model(model.model_id, "READY")


def keep_front(runs: TrialRuns, folder: SweepFolder, front: Collection[str]) -> None:
    """Stores the students of the front, and marks those that have left it.

    Their models stay, for they may be in use. What MLflow refuses of one student is raised when
    the others are stored.
    """
    query = f"tags.`{SWEEP_TAG}` = '{runs.place.sweep}' AND tags.on_front = 'true'"
    for model in runs.client.search_logged_models([runs.place.experiment_id], query):
        if model.tags["trial_id"] not in front:
            _mark(runs.client, model, on_front=False)
    refusals: list[Exception] = []
    for trial_id in front:
        try:
            keep_student(runs, folder, trial_id)
        except Exception as error:
            if not is_refused(error):
                raise
            refusals.append(error)
    if refusals:
        raise refusals[0]


def _model(runs: TrialRuns, trial_id: str) -> Any:
    """Returns the model of a trial, or None; one that is there twice is deleted."""
    query = f"source_run_id = '{runs.ids[trial_id]}'"
    found = runs.client.search_logged_models([runs.place.experiment_id], query)
    own = [model for model in found if model.tags.get(SWEEP_TAG) == runs.place.sweep]
    own.sort(key=lambda model: (not _is_ready(model), model.creation_timestamp))
    for late in own[1:]:  # its making was answered too late
        runs.client.delete_logged_model(late.model_id)
    return own[0] if own else None


def _is_ready(model: Any) -> bool:
    return bool(model.status == "READY")


def _mark(client: Any, model: Any, on_front: bool) -> None:
    word = str(on_front).lower()
    if model.tags.get("on_front") != word:
        client.set_logged_model_tags(model.model_id, {"on_front": word})


def _create(runs: TrialRuns, folder: SweepFolder, trial_id: str) -> Any:
    result = folder.result(trial_id)
    parameters = {} if result is None else result.parameters
    return runs.client.create_logged_model(
        runs.place.experiment_id,
        name=trial_name(trial_id, parameters).translate(_NOT_IN_NAMES),
        source_run_id=runs.ids[trial_id],
        tags={SWEEP_TAG: runs.place.sweep, "trial_id": trial_id, "on_front": "true"},
        params={name: str(value)[:6000] for name, value in parameters.items()},
    )


def _link(client: Any, run: Any, model: Any) -> None:
    from mlflow.entities import LoggedModelOutput

    linked = run.outputs.model_outputs if run.outputs else []
    if model.model_id not in {output.model_id for output in linked}:
        client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, step=0)])


def _measure(client: Any, run: Any, model: Any) -> None:
    """Writes the metrics of a run to its model: the very same, so that the run has none twice."""
    from mlflow.entities import Metric

    told = [it for it in run.data.to_proto().metrics if it.key != "on_front"]
    metrics = [
        Metric(it.key, it.value, it.timestamp, it.step, model.model_id, run_id=run.info.run_id)
        for it in told
    ]
    client.log_batch(run.info.run_id, metrics=metrics)


def _upload(client: Any, folder: SweepFolder, trial_id: str, model: Any) -> None:
    """Uploads a student from where it is, and beside it what makes a model of it."""
    from mlflow.models import Model
    from mlflow.pyfunc import save_model

    config = read_config(folder)
    student, columns = folder.student(trial_id), text_columns(config)
    trusted = bool(config.get("teacher", {}).get(TRUSTED))
    with tempfile.TemporaryDirectory() as staging:
        path = Path(staging) / "model"
        save_model(
            path,
            loader_module="kdray.tracking.served",
            mlflow_model=Model(
                model.artifact_location, model.source_run_id, model_id=model.model_id
            ),
            signature=_signature(student, columns),
            input_example=_example(columns),
            pip_requirements=[f"kdray=={__version__}"],
            model_config={TRUSTED: True} if trusted else None,
        )
        client.log_model_artifacts(model.model_id, str(path))
    client.log_model_artifacts(model.model_id, str(student), STUDENT)


def _signature(student: Path, columns: Sequence[str]) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    texts = Schema([ColSpec("string", name) for name in columns])
    return ModelSignature(texts, Schema([ColSpec("float", label) for label in _labels(student)]))


def _labels(student: Path) -> list[str]:
    """Returns the labels of a student; one that is damaged will never be taken."""
    from mlflow.exceptions import MlflowException

    try:
        card = json.loads((student / "kdray.json").read_text(encoding="utf-8"))
        return list(card["labels"])
    except (OSError, ValueError, KeyError) as error:
        message = f"{student} holds no student that can be read: {error}"
        raise MlflowException.invalid_parameter_value(message) from error


def _example(columns: Sequence[str]) -> Any:
    import pandas as pd

    return pd.DataFrame([[_EXAMPLE] * len(columns)], columns=list(columns))
