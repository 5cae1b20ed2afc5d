"""Pages of MLflow's UI that a sweep is looked at on.

The page of the front is what the UI's Share button would store: columns, filter and order, in a tag
of the experiment, for the UI shows no metrics otherwise.
"""

import json
from collections.abc import Mapping
from typing import Any

from kdray.tracking.place import Place

_TAG = "mlflow.sharedViewState."


def runs_page(place: Place) -> str:
    """Returns the page of an experiment's runs; without an experiment, no page."""
    if not place.experiment_id:
        return ""
    # Else the UI opens what it has for language models.
    return f"#/experiments/{place.experiment_id}/runs?workflowType=machine_learning"


def front_page(place: Place) -> str:
    """Returns the page of a sweep's front."""
    return f"{runs_page(place)}&viewStateShareKey={place.parent}"


def write_front_page(client: Any, place: Place, objectives: Mapping[str, str]) -> None:
    """Writes the columns, filter and order of a sweep's front, the best first.

    Args:
        client: MLflow's client.
        place: Where the sweep is recorded.
        objectives: Direction of each objective: the columns.
    """
    if not objectives:
        return
    names = [f"metrics.`{name}`" for name in ("on_front", *objectives)]
    first, direction = next(iter(objectives.items()))
    page = {
        "selectedColumns": ["attributes.`Models`", *names],
        "searchFilter": f"tags.mlflow.parentRunId = '{place.parent}' and metrics.on_front = 1",
        "orderByKey": f"metrics.`{first}`",
        "orderByAsc": direction == "minimize",
    }
    client.set_experiment_tag(place.experiment_id, _TAG + place.parent, json.dumps(page))
