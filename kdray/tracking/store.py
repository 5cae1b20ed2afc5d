"""A store of MLflow in a file, which is there whole or not at all."""

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from kdray.tracking.connecting import connect
from kdray.tracking.place import LOCAL


def make_store(uri: str) -> None:
    """Makes the SQLite file of a tracking URI, if it is one and not there yet.

    MLflow makes a store in some fifty steps, and cannot go on with one whose making was killed.
    So it is made elsewhere, and comes to its place in one step. Of sweeps that start together in
    the same folder the first to end makes the store of all.

    Args:
        uri: Tracking URI of MLflow.
    """
    store = Path(uri.removeprefix(LOCAL))
    if not uri.startswith(LOCAL) or store.exists():
        return
    store.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as elsewhere:
        made = Path(elsewhere) / store.name
        connect(f"{LOCAL}{made}").search_experiments(max_results=1)
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
