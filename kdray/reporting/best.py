"""The best student of a sweep under constraints, always by its validation metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kdray.errors import ConfigError, Problem
from kdray.reporting.constraints import none_feasible
from kdray.reporting.headline import Row, quality_metric
from kdray.reporting.pareto import knee
from kdray.reporting.reading import read_summary, read_sweep, read_trials
from kdray.results.folder import SweepFolder


@dataclass(frozen=True)
class Constraints:
    """What a student must fulfil; None asks for nothing.

    Attributes:
        max_size_mb: Largest size on disk.
        min_macro_f1: Least macro-F1.
        within: Largest share of the teacher's quality that may be lost.
    """

    max_size_mb: float | None = None
    min_macro_f1: float | None = None
    within: float | None = None


def best_student(folder: SweepFolder, constraints: Constraints) -> Row:
    """Returns the row of the best student on the front.

    With a largest size: the best quality that fits. With a least quality only: the smallest that
    reaches it. Without any: the knee of the front.

    Raises:
        ConfigError: If no student on the front fulfils the constraints.
    """
    summary, config = read_summary(folder), read_sweep(folder)["config"]
    rows = [
        {str(key): cell for key, cell in row.items()}
        for row in read_trials(folder).to_dict("records")
    ]
    by_id = {row["trial_id"]: row for row in rows}
    front = [by_id[trial_id] for trial_id in summary["front"]]
    if not front:
        raise ConfigError([_no_front(folder, summary, by_id, config)])
    quality = quality_metric(config["objectives"], summary["teacher"])
    fitting = [row for row in front if _fulfils(row, constraints, quality, summary["teacher"])]
    if not fitting:
        raise ConfigError([_none_fits(folder, front, quality)])
    if constraints == Constraints():
        objectives = config["objectives"]
        points = [[row[name] for name in objectives] for row in front]
        return front[knee(points, list(objectives.values()))]
    if constraints.max_size_mb is not None:
        return max(fitting, key=lambda row: (row[quality], -row["size_mb"]))
    return min(fitting, key=lambda row: (row["size_mb"], -row[quality]))


def _no_front(
    folder: SweepFolder,
    summary: Mapping[str, Any],
    by_id: Mapping[str, Row],
    config: Mapping[str, Any],
) -> Problem:
    if "nearest" not in summary:
        return Problem(str(folder.root), "has no completed trial to take")
    message = none_feasible(by_id[summary["nearest"]], config["constraints"])
    return Problem(str(folder.root), message)


def _fulfils(row: Row, constraints: Constraints, quality: str, teacher: Row) -> bool:
    if constraints.max_size_mb is not None and row["size_mb"] > constraints.max_size_mb:
        return False
    if constraints.min_macro_f1 is not None and row["macro_f1"] < constraints.min_macro_f1:
        return False
    least = None if constraints.within is None else teacher[quality] * (1 - constraints.within)
    return least is None or bool(row[quality] >= least)


def _none_fits(folder: SweepFolder, front: list[dict[str, Any]], quality: str) -> Problem:
    sizes = [row["size_mb"] for row in front]
    scores = [row[quality] for row in front]
    return Problem(
        str(folder.root),
        f"no student on the front fulfils that; there are {len(front)}, of {min(sizes):.3g} to "
        f"{max(sizes):.3g} MB and {quality} {min(scores):.3f} to {max(scores):.3f} on validation",
    )
