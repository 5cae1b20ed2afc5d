"""The data of a sweep as MLflow's dataset: where it comes from, its columns, its digest."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdray.results.folder import SweepFolder
from kdray.tracking.connecting import read_config, read_data_digest, text_columns

# Characters of the digest that the UI shows; the whole of it stands in the profile.
_DIGEST = 16
_COLUMNS = {"text", "labels", "max_length", "source"}


def dataset_input(folder: SweepFolder) -> Any:
    """Returns the data of a sweep as an input of a run; None if its folder does not tell it.

    The digest is that of the encoded texts and labels of every split. The path of a file is told
    as the search space has it, and without its folders if they are those of one machine.

    Args:
        folder: The sweep's folder, with `sweep.yaml` and `teacher/verification.json`.
    """
    config, digest = read_config(folder), read_data_digest(folder)
    if not digest or "data" not in config:
        return None
    from mlflow.entities import Dataset, DatasetInput, InputTag

    data = config["data"]
    name, kind, source = _SOURCES.get(data["source"], _made)(data)
    dataset = Dataset(
        name=name,
        digest=digest[:_DIGEST],
        source_type=kind,
        source=json.dumps(source),
        schema=json.dumps({"mlflow_colspec": _columns(config)}),
        profile=json.dumps({"digest": digest, "splits": "train, validation, test"}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "train, validation, test")])


def _columns(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    labels = config["data"]["labels"]
    kinds = dict.fromkeys(text_columns(dict(config)), "string")
    kinds |= {labels: "string"} if isinstance(labels, str) else dict.fromkeys(labels, "long")
    return [{"name": name, "type": kind, "required": True} for name, kind in kinds.items()]


def _files(data: Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    named = _options(data)
    return named["train"], "local", {"uri": named["train"], **named}


def _hub(data: Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    name = _options(data)["name"]
    if name != data["name"] or name.startswith("."):
        return name, "local", {"uri": name}
    found = {"path": name, "config_name": data.get("config"), "revision": data.get("revision")}
    return name, "hugging_face", found


def _made(data: Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    tags = {"mlflow.source.name": f"kdray.data.{data['source']}", **_options(data)}
    return data["source"], "code", {"tags": tags}


def _options(data: Mapping[str, Any]) -> dict[str, Any]:
    own = {key: it for key, it in data.items() if key not in _COLUMNS and it is not None}
    return {key: _public(value) for key, value in own.items()}


def _public(value: Any) -> Any:
    """Returns a path without folders that only one machine has; anything else as it is."""
    is_private = isinstance(value, str) and Path(value).is_absolute()
    return Path(value).name if is_private else value


_SOURCES = {"files": _files, "hub": _hub}
