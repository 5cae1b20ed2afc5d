"""The students on the front that a report is about: of one sweep, or of several together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdray.errors import ConfigError, Problem
from kdray.reporting.charts.base import Read
from kdray.reporting.formats import is_missing
from kdray.reporting.headline import Row, choose, quality_metric
from kdray.reporting.pareto import Direction, knee, non_dominated
from kdray.reporting.reading import read_summary, read_sweep, read_trials
from kdray.reporting.stored import WEIGHTS, stored_as
from kdray.results.folder import SweepFolder


@dataclass(frozen=True)
class Student:
    """A trial on the front.

    Attributes:
        row: Its row of `trials.csv`, with its number format and its teacher's size in it.
        sweep: Where it is from.
        place: The place of that sweep among those of the report.
        id: What the report calls it: its trial, behind the sweep's name where there are several.
    """

    row: Row
    sweep: Read
    place: int
    id: str


def read(folder: SweepFolder) -> Read:
    """Returns the tables of a sweep and its configuration.

    Raises:
        ConfigError: A file of the sweep is not there.
    """
    rows = [
        {str(key): cell for key, cell in row.items()}
        for row in read_trials(folder).to_dict("records")
    ]
    return Read(folder, rows, read_summary(folder), read_sweep(folder)["config"])


def names(sweeps: Sequence[Read]) -> list[str]:
    """Returns a name for each sweep, none twice: two of one name are told by their folders too."""
    short = [sweep.folder.name for sweep in sweeps]
    if len(set(short)) == len(short):
        return short
    parents = [f"{sweep.folder.root.parent.name}/{sweep.folder.name}" for sweep in sweeps]
    if len(set(parents)) == len(parents):
        return parents
    return [f"{name} ({place})" for place, name in enumerate(short, 1)]


def check_objectives(sweeps: Sequence[Read]) -> None:
    """Refuses sweeps that cannot be on one front.

    Raises:
        ConfigError: Their objectives or directions differ.
    """
    first, *others = sweeps
    problems = [
        Problem(
            other.folder.address,
            f"its objectives are {_listed(other)}, but those of {first.folder.address} are "
            f"{_listed(first)}; one front needs the same of all: make a report of each",
        )
        for other in others
        if dict(other.config["objectives"]) != dict(first.config["objectives"])
    ]
    if problems:
        raise ConfigError(problems)


def front_of(sweeps: Sequence[Read]) -> list[Student]:
    """Returns the students on the front, the smallest first.

    Args:
        sweeps: One, whose front it is, or several with the same objectives: what no student of
            any other dominates.
    """
    called = names(sweeps)
    found = [
        _student(sweep, place, called[place] if len(sweeps) > 1 else "", trial_id)
        for place, sweep in enumerate(sweeps)
        for trial_id in sweep.summary["front"]
    ]
    if len(sweeps) == 1 or not found:
        return found
    objectives: Mapping[str, Direction] = sweeps[0].config["objectives"]
    points = [[student.row[name] for name in objectives] for student in found]
    on_front = np.flatnonzero(non_dominated(points, list(objectives.values())))
    ways = list(objectives.values())
    column = ways.index("minimize") if "minimize" in ways else min(1, len(ways) - 1)
    return sorted((found[n] for n in on_front), key=lambda it: it.row[list(objectives)[column]])


def chosen_of(front: Sequence[Student]) -> Student | None:
    """Returns the student that the headline speaks of; see `choose`."""
    if not front:
        return None
    sweep = front[0].sweep
    row = choose([it.row for it in front], sweep.summary["teacher"], sweep.config["objectives"])
    return next((student for student in front if student.row is row), None)


def knee_of(front: Sequence[Student]) -> Student:
    """Returns the knee of a front: what `kdray best` takes without bounds, if it is a sweep's own.

    Args:
        front: At least one student.
    """
    objectives: Mapping[str, Direction] = front[0].sweep.config["objectives"]
    points = [[it.row[name] for name in objectives] for it in front]
    return front[knee(points, list(objectives.values()))]


def quality_of(sweep: Read) -> str:
    """Returns the metric that the report calls quality; see `quality_metric`."""
    return quality_metric(sweep.config["objectives"], sweep.summary["teacher"])


def _student(sweep: Read, place: int, name: str, trial_id: str) -> Student:
    row: dict[str, Any] = dict(next(it for it in sweep.rows if it["trial_id"] == trial_id))
    row[WEIGHTS] = stored_as(row, sweep.config)
    size = sweep.summary["teacher"].get("size_mb")
    if name and is_missing(row.get("teacher_size_mb")) and size is not None:
        # Students of several teachers stand side by side, each beside its own.
        row["teacher_size_mb"] = size
    return Student(row, sweep, place, f"{name}/{trial_id}" if name else trial_id)


def _listed(sweep: Read) -> str:
    return ", ".join(f"{way} {name}" for name, way in sweep.config["objectives"].items())
