"""A sweep in short, from its files alone: how it stands, what it found, what it takes on disk."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from kdray.config.search import Search
from kdray.errors import KdrayError
from kdray.reporting.headline import against, choose, quality_metric
from kdray.reporting.reading import read_summary, read_sweep, read_verification
from kdray.reporting.summary import front_ids
from kdray.results.folder import SweepFolder
from kdray.results.leftovers import leftovers
from kdray.results.records import Status, TrialResult
from kdray.sweep.lock import is_held

State = Literal["running", "done", "stopped", "unreadable"]
BYTES = 1e6
_UNREADABLE = (KdrayError, OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError)


@dataclass(frozen=True)
class Overview:
    """A sweep in short.

    Attributes:
        name: Its name.
        state: `running`: a process is at it; `done`; `stopped`: `kdray resume` goes on with it;
            `unreadable`: a file of it is damaged.
        trials: Finished trials by status.
        planned: Trials that were asked for; a grid may have fewer.
        front: The ids on its front.
        best: The student of its headline: `trial_id`, `metric`, `split`, `quality`, `size_mb`.
        changed: When it was last at work, in seconds since 1970.
        disk_mb: What it takes on disk; of a file that several sweeps share, a share.
        spare: What nothing that it found needs; empty unless it is done.
        spare_mb: What that takes.
        notes: What else is to be known.
    """

    name: str
    state: State
    changed: float
    disk_mb: float
    trials: Mapping[str, int] = field(default_factory=dict)
    planned: int = 0
    front: Sequence[str] = ()
    best: Mapping[str, Any] | None = None
    spare: Sequence[Path] = ()
    spare_mb: float = 0.0
    notes: Sequence[str] = ()


def overview(folder: SweepFolder) -> Overview:
    """Returns a sweep in short; one that cannot be read is told, not raised."""
    written = folder.summary_json if folder.summary_json.exists() else folder.sweep_yaml
    changed, disk_mb = written.stat().st_mtime, megabytes([folder.root])
    try:
        return _read(folder, changed, disk_mb)
    except _UNREADABLE as error:
        note = " ".join([f"{type(error).__name__}:", *str(error).split()])
        return Overview(folder.name, "unreadable", changed, disk_mb, notes=[note])


def megabytes(paths: Iterable[Path]) -> float:
    """Returns what files and folders take, in MB; a file of several names counts in parts."""
    return sum(_bytes(path) for path in paths) / BYTES


def _read(folder: SweepFolder, changed: float, disk_mb: float) -> Overview:
    config, results = read_sweep(folder)["config"], folder.results()
    asked = config.get("search") or {}
    search = Search.model_validate({k: asked[k] for k in ("trials", "keep") if k in asked})
    front = front_ids(results, config["objectives"], config.get("constraints"))
    running = is_held(folder.optuna_log)
    state: State = "running" if running else _ended(folder, len(results) >= search.trials)
    spare = _spare(folder, front, search) if state == "done" and running is False else []
    statuses = [result.status for result in results]
    return Overview(
        folder.name,
        state,
        changed,
        disk_mb,
        {status: statuses.count(status) for status in get_args(Status)},
        search.trials,
        front,
        _best([result for result in results if result.trial_id in front], config, folder),
        spare,
        megabytes(spare),
        _notes(folder, running),
    )


def _ended(folder: SweepFolder, all_there: bool) -> State:
    """Returns `done` or `stopped`; a sweep of an earlier version has not written down which."""
    if not folder.summary_json.exists():
        return "stopped"
    return "done" if read_summary(folder).get("complete", all_there) else "stopped"


def _notes(folder: SweepFolder, running: bool | None) -> list[str]:
    notes = []
    if running is None:
        notes.append("whether a process is at it cannot be told on this disk")
    if folder.verification_json.exists() and not read_verification(folder).get("passed", True):
        notes.append("its teacher is not good enough (teacher.verify)")
    if folder.summary_json.exists() and read_summary(folder).get("out_of_time"):
        notes.append("its time was over (search.time_budget_s); `kdray resume` goes on")
    return notes


def _best(
    front: Sequence[TrialResult], config: Mapping[str, Any], folder: SweepFolder
) -> dict[str, Any] | None:
    teacher = read_verification(folder)["metrics"] if folder.verification_json.exists() else {}
    rows = [{**result.metrics, "trial_id": result.trial_id} for result in front]
    chosen = choose(rows, teacher, config["objectives"])
    if chosen is None:
        return None
    metric = quality_metric(config["objectives"], teacher)
    found = against(chosen, teacher, metric)
    names = {"metric": metric, "split": found.split, "quality": found.quality}
    return {"trial_id": chosen["trial_id"], **names, "size_mb": chosen.get("size_mb")}


def _spare(folder: SweepFolder, front: Sequence[str], search: Search) -> list[Path]:
    """Returns what a sweep that is done could do without: what can be made again, and leftovers."""
    outputs = [folder.teacher_outputs] if folder.teacher_outputs.exists() else []
    dominated = [i for i in folder.students() if i not in front] if search.keep == "front" else []
    states = [
        path
        for path in sorted((folder.root / "checkpoints").glob("[!.]*"))
        if any(one.result(path.name) for one in (folder, folder.confirmations))
    ]
    return [*outputs, *map(folder.student, dominated), *states, *leftovers(folder)]


def _bytes(path: Path) -> float:
    with suppress(OSError):  # of a sweep that is running, or of another user
        if path.is_dir() and not path.is_symlink():
            return sum(_bytes(inside) for inside in path.iterdir())
        found = path.lstat()
        return found.st_size / max(1, found.st_nlink)
    return 0.0
