"""Where a sweep is recorded: its experiment and parent run, found again after a crash."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from kdray.errors import ConfigError, Problem
from kdray.results.folder import SweepFolder, write_json
from kdray.tracking.news import News, write_news

SWEEP_TAG = "kdray.sweep"
LOCAL = "sqlite:///"


@dataclass(frozen=True)
class Place:
    """Where a sweep is recorded.

    Attributes:
        uri: Tracking URI of MLflow.
        experiment_id: The experiment; empty until the parent run is there.
        parent: The parent run; empty until it is there.
        sweep: A word of this sweep alone, which tags its parent run.
    """

    uri: str
    experiment_id: str = ""
    parent: str = ""
    sweep: str = ""


def open_parent(
    client: Any, folder: SweepFolder, uri: str, experiment: str, parameters: Mapping[str, Any]
) -> Place:
    """Opens the parent run of a sweep, or goes on in the one of before.

    Args:
        client: MLflow's client.
        folder: The sweep's folder.
        uri: Tracking URI of MLflow; a sweep of another one is recorded anew.
        experiment: Name of the experiment, made if it is not there.
        parameters: Of the parent run; what it has already stays.

    Returns:
        The experiment and the parent run.
    """
    before = _place_of_before(folder, uri)
    run = _run_of_before(client, before, experiment) if before else None
    if before is None or (run is None and before.parent):
        # The word is on disk before the run is made, so that a crash between leaves no orphan.
        before = Place(uri, sweep=uuid4().hex)
        write_json(folder.tracking_json, vars(before))
    if run is None:
        experiment_id = _experiment_id(client, folder, uri, experiment)
        tags = {SWEEP_TAG: before.sweep}
        run = client.create_run(experiment_id, run_name=folder.name, tags=tags)
    elif run.info.status != "RUNNING":
        client.update_run(run.info.run_id, status="RUNNING")
    place = replace(before, experiment_id=run.info.experiment_id, parent=run.info.run_id)
    if place != before:
        write_json(folder.tracking_json, vars(place))
    missing = {name: it for name, it in parameters.items() if name not in run.data.params}
    write_news(client, place.parent, News(missing))
    return place


def find_place(folder: SweepFolder) -> Place:
    """Returns where a sweep is recorded, also if its folder was moved with the store beside it.

    Raises:
        ConfigError: If it is recorded nowhere, or its store is gone.
    """
    if not folder.tracking_json.is_file():
        message = "the sweep is not recorded in MLflow: it has no tracking.json"
        raise ConfigError([Problem(folder.address, message)])
    place = Place(**json.loads(folder.tracking_json.read_text(encoding="utf-8")))
    store, beside = place.uri.removeprefix(LOCAL), folder.root.parent / "mlflow.db"
    if store == place.uri or Path(store).is_file():
        return place
    if beside.is_file():
        return replace(place, uri=f"{LOCAL}{beside}")
    message = f"is recorded in {store}, which is gone; nor is there {beside}"
    raise ConfigError([Problem(folder.address, message)])


def _place_of_before(folder: SweepFolder, uri: str) -> Place | None:
    if not folder.tracking_json.exists():
        return None
    place = Place(**json.loads(folder.tracking_json.read_text(encoding="utf-8")))
    return place if place.uri == uri else None


def _run_of_before(client: Any, place: Place, experiment: str) -> Any:
    """Returns the parent run, or None if the store does not have it; a folder may be moved."""
    from mlflow.exceptions import MlflowException

    if not place.parent:
        found = client.get_experiment_by_name(experiment)
        query = f"tags.`{SWEEP_TAG}` = '{place.sweep}'"
        runs = client.search_runs([found.experiment_id], query) if found else []
        return runs[0] if runs else None
    try:
        run = client.get_run(place.parent)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return run if run.info.lifecycle_stage == "active" else None


def _experiment_id(client: Any, folder: SweepFolder, uri: str, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    local = uri.startswith(LOCAL)
    artifacts = (folder.root.parent.resolve() / "mlartifacts").as_uri() if local else None
    return str(client.create_experiment(name, artifact_location=artifacts))
