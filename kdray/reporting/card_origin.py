"""Where a student comes from, in the words of its card: its teacher and its data.

A card is published: folders of the sweep's owner are called by their last names, files not at all.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdray.reporting.reading import read_verification
from kdray.results.folder import SweepFolder

_SOURCES = {
    "synthetic": "kdray's synthetic corpus, made by a program: the student is an example",
    "files": "Tables of the sweep's owner",
}


def teacher_said(teacher: Mapping[str, Any]) -> str:
    """Returns the teacher in words: "org/name, fine-tuned before the sweep".

    Args:
        teacher: The sweep's `teacher` section.
    """
    if not teacher.get("model"):
        shape = teacher["architecture"]
        return f"a BERT of {shape['layers']} layers, {shape['hidden_size']} wide, from scratch"
    models = teacher["model"] if isinstance(teacher["model"], list) else [teacher["model"]]
    when = "before" if teacher.get("training") is None else "in"
    return f"{', '.join(map(_public, models))}, fine-tuned {when} the sweep"


def data_said(data: Mapping[str, Any]) -> str:
    """Returns where the data are from.

    Args:
        data: The sweep's `data` section.
    """
    if data["source"] in _SOURCES:
        return _SOURCES[data["source"]]
    part = f", configuration {data['config']}" if data.get("config") else ""
    revision = data.get("revision") or "not pinned"
    return f"Data set {data_name(data)}{part}, revision {revision}"


def data_name(data: Mapping[str, Any]) -> str:
    """Returns what the data are called: by their hub id, else by what kind of source they are."""
    return _public(data["name"]) if data.get("name") else str(data["source"])


def digest(folder: SweepFolder) -> str:
    """Returns the SHA-256 of the data; nothing for a sweep that did not write it down."""
    there = folder.verification_json.exists()
    return str((read_verification(folder) if there else {}).get("data_digest") or "")


def _public(name: str) -> str:
    """Returns a hub id as it is, and the last name of a path."""
    is_path = name.startswith((".", "/", "~")) or name.count("/") > 1
    return Path(name).name if is_path else name
