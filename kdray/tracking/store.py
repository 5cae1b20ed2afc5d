"""A store of MLflow in a file, which is there whole or not at all.

MLflow makes a store in some fifty steps, which takes seconds of a core, and cannot go on with one
whose making was killed. So it is made elsewhere, and comes to its place in one step.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from uuid import uuid4

from kdray.tracking.connecting import connect
from kdray.tracking.place import LOCAL


def made_elsewhere(uri: str) -> Path | None:
    """Returns a SQLite file for a tracking URI whose own is not there; None if none is missing.

    It is gone with this process.

    Args:
        uri: Tracking URI of MLflow.
    """
    store = Path(uri.removeprefix(LOCAL))
    if not uri.startswith(LOCAL) or store.exists():
        return None
    folder = tempfile.mkdtemp(prefix="kdray-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = Path(folder) / store.name
    connect(f"{LOCAL}{made}").search_experiments(max_results=1)
    return made


def put_in_place(made: Path, uri: str) -> None:
    """Copies what `made_elsewhere` returned to where the tracking URI has it.

    Of sweeps that start together in the same folder the first makes the store of all.

    Args:
        made: What it returned.
        uri: Tracking URI of MLflow.
    """
    store = Path(uri.removeprefix(LOCAL))
    store.parent.mkdir(parents=True, exist_ok=True)
    beside = store.with_name(f".{store.name}.{uuid4().hex}")
    try:
        shutil.copyfile(made, beside)
        _move_to(beside, store)
    finally:
        beside.unlink(missing_ok=True)


def _move_to(source: Path, target: Path) -> None:
    """Gives a file a name that nobody has; what has it meanwhile, stays."""
    try:
        os.link(source, target)
    except OSError:
        if not target.exists():  # then the file system has no hard links
            source.rename(target)
