"""Sweeps in an object store, and what is there of them."""

from typing import Any

import pyarrow.fs

from kdray.results.folder import write_text, write_trial
from kdray.results.records import TrialResult
from kdray.sweep.object_store import place
from kdray.sweep.storage import Mirror, new_sweep


def begun(store: str, name: str = "tiny") -> Mirror:
    """A sweep that has begun."""
    folder = new_sweep(store, name)
    write_text(folder.sweep_yaml, "config: {}\n")
    folder.share(folder.sweep_yaml)
    return folder


def finish(folder: Mirror, trial_id: str, status: Any = "completed") -> TrialResult:
    """Ends a trial of a sweep, with a student."""
    result = TrialResult(trial_id, status, parameters={}, metrics={"macro_f1": 0.5})
    write_text(folder.student(trial_id) / "model.safetensors", "weights")
    files = {"config.yaml": lambda path: path.write_text("threads: 1\n")}
    write_trial(folder, result, files=files)
    folder.share(folder.student(trial_id), folder.trial(trial_id))
    return result


def stored(uri: str) -> set[str]:
    """Names of the files under a URI."""
    at = place(uri)
    found = at.system.get_file_info(pyarrow.fs.FileSelector(at.path, recursive=True))
    paths = {info.path for info in found if info.type == pyarrow.fs.FileType.File}
    return {path.removeprefix(f"{at.path}/") for path in paths}
