"""The model registry: the best student of a sweep stands there under the sweep's name."""

import json
from typing import Any

from kdray.errors import ConfigError, KdrayError, Problem
from kdray.results.folder import SweepFolder
from kdray.tracking.connecting import connect, read_config
from kdray.tracking.place import SWEEP_TAG, find_place
from kdray.tracking.runs import TrialRuns
from kdray.tracking.students import keep_student

# The alias of the version to use: models:/NAME@best
ALIAS = "best"
# Tag of the parent run: the trial that was registered of itself last.
_KNEE = "knee"
# Of a model: its versions, for the UI to show; a server writes it itself.
_VERSIONS = "mlflow.modelVersions"


def register_student(folder: SweepFolder, trial_id: str) -> str:
    """Registers a student under the sweep's name as its best one.

    Args:
        folder: The sweep's folder.
        trial_id: A trial on the front.

    Returns:
        What MLflow calls it: `models:/NAME@best`.

    Raises:
        ConfigError: If the trial is not on the front, its weights are not kept, or the sweep has
            no run of it where it is recorded.
        KdrayError: If MLflow cannot be reached, or refuses.
    """
    from mlflow.exceptions import MlflowException

    place = find_place(folder)
    _check_is_on_front(folder, trial_id)
    folder.fetch(folder.student(trial_id))
    try:
        runs = TrialRuns(connect(place.uri), place, folder)
        runs.find()
        if trial_id not in runs.ids:
            message = f"has no run of trial {trial_id} in MLflow; `kdray resume` records it again"
            raise ConfigError([Problem(folder.address, message)])
        model = keep_student(runs, folder, trial_id)
        if model is None:
            message = f"has no weights of trial {trial_id} (search.keep), so nothing to register"
            raise ConfigError([Problem(folder.address, message)])
        return _make_best(runs.client, folder, model)
    except MlflowException as error:
        raise KdrayError(f"MLflow: {str(error).splitlines()[0]}") from error


def register_knee(runs: TrialRuns, folder: SweepFolder, trial_id: str) -> None:
    """Registers the knee of the front, if it is another one than before.

    A student that someone registered by hand meanwhile stays the best until the knee moves.
    """
    parent = runs.client.get_run(runs.place.parent)
    model = keep_student(runs, folder, trial_id)
    is_known = parent.data.tags.get(_KNEE) == trial_id
    if model is None or (is_known and _version(runs.client, folder.name, model) is not None):
        return
    _make_best(runs.client, folder, model)
    runs.client.set_tag(runs.place.parent, _KNEE, trial_id)


def _check_is_on_front(folder: SweepFolder, trial_id: str) -> None:
    front = []
    if folder.summary_json.is_file():
        front = json.loads(folder.summary_json.read_text(encoding="utf-8"))["front"]
    if trial_id not in front:
        named = ", ".join(front) or "nobody"
        message = f"trial {trial_id} is not on the front, where {named} is"
        raise ConfigError([Problem(folder.address, message)])


def _make_best(client: Any, folder: SweepFolder, model: Any) -> str:
    """Makes a model a version of the sweep's registered model, if it is none yet, and the best."""
    name = folder.name
    version = _version(client, name, model) or _register(client, folder, model)
    client.set_registered_model_alias(name, ALIAS, version.version)
    told = json.loads(client.get_logged_model(model.model_id).tags.get(_VERSIONS, "[]"))
    if not any(str(it["version"]) == str(version.version) and it["name"] == name for it in told):
        told.append({"name": name, "version": version.version})
        client.set_logged_model_tags(model.model_id, {_VERSIONS: json.dumps(told)})
    return f"models:/{name}@{ALIAS}"


def _version(client: Any, name: str, model: Any) -> Any:
    """Returns the version that a model is, or None."""
    found = client.search_model_versions(f"name = '{name}'")
    return next((it for it in found if it.source == model.artifact_location), None)


def _register(client: Any, folder: SweepFolder, model: Any) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(folder.name, description=_sweep_said(folder))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # Its location rather than models:/ID, which MLflow looks for in another store than ours.
    return client.create_model_version(
        folder.name,
        model.artifact_location,
        run_id=model.source_run_id,
        model_id=model.model_id,
        description=_described(folder, model.tags["trial_id"]),
        tags={tag: model.tags[tag] for tag in (SWEEP_TAG, "trial_id")},
    )


def _sweep_said(folder: SweepFolder) -> str:
    return (
        f"Students of the kdray sweep {folder.name}: text in, the probability of each label out. "
        f"`{ALIAS}` is the knee of its front, or what `kdray best --register` took."
    )


def _described(folder: SweepFolder, trial_id: str) -> str:
    """Returns a line about a trial: its value of each objective, on validation."""
    result, objectives = folder.result(trial_id), read_config(folder).get("objectives", {})
    metrics = {} if result is None else result.metrics
    values = [f"{name} {metrics[name]:.4g}" for name in objectives if name in metrics]
    return f"trial {trial_id}: {', '.join(values)}" if values else f"trial {trial_id}"
