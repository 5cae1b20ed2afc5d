"""The best student of a sweep under constraints, always by its validation metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kdray.errors import ConfigError, Problem
from kdray.reporting.constraints import none_feasible
from kdray.reporting.formats import is_missing, measured
from kdray.reporting.headline import Row, quality_metric
from kdray.reporting.objectives import objective
from kdray.reporting.pareto import Direction, knee
from kdray.reporting.reading import read_summary, read_sweep, read_trials
from kdray.results.feasibility import Bounds, is_feasible
from kdray.results.folder import SweepFolder


@dataclass(frozen=True)
class Constraints:
    """What a student must fulfil; None asks for nothing.

    Attributes:
        max_size_mb: Largest size on disk.
        min_macro_f1: Least macro-F1.
        within: Largest share of the teacher's quality that may be lost.
        bounds: The least or the largest value of any metric.
    """

    max_size_mb: float | None = None
    min_macro_f1: float | None = None
    within: float | None = None
    bounds: Bounds = field(default_factory=dict)

    @property
    def parts(self) -> list[Bounds]:
        """The bounds, each of which a student keeps to; `within` is none, it needs a teacher."""
        short = [
            ("size_mb", "maximum", self.max_size_mb),
            ("macro_f1", "minimum", self.min_macro_f1),
        ]
        given = [{metric: {side: value}} for metric, side, value in short if value is not None]
        return [*given, self.bounds] if self.bounds else [*given]

    @property
    def metrics(self) -> list[str]:
        """The metrics that are bounded, each once."""
        return list(dict.fromkeys(metric for part in self.parts for metric in part))


def best_student(folder: SweepFolder, constraints: Constraints) -> Row:
    """Returns the row of the best student on the front, judged by its validation metrics.

    Of several that fulfil the constraints it is always the same one:

    - with a bound on what a student costs (size, parameters, multiply-accumulates, latency,
      throughput, speed-up): the one of best quality; among equals the smallest;
    - with bounds on its quality alone (`within` is one): the smallest; among equals the one of
      best quality;
    - without any: the knee of the front.

    What is equal in both is decided by the lower id.

    Args:
        folder: The sweep's folder.
        constraints: What the student must fulfil.

    Raises:
        ConfigError: If no student on the front fulfils the constraints.
    """
    summary, config = read_summary(folder), read_sweep(folder)["config"]
    front = _front(folder, summary, config)
    objectives, teacher = config["objectives"], summary["teacher"]
    found = pick(front, constraints, objectives, teacher)
    if found is None:
        quality = quality_metric(objectives, teacher)
        raise ConfigError([_none_fits(folder, front, [quality, *constraints.metrics])])
    return found


def pick(
    front: Sequence[Row],
    constraints: Constraints,
    objectives: Mapping[str, Direction],
    teacher: Row,
) -> Row | None:
    """Returns the row that the rule of `best_student` takes, or None if none fulfils that.

    Args:
        front: The rows on the front; at least one.
        constraints: What the student must fulfil.
        objectives: Direction of each objective.
        teacher: The teacher's metrics.
    """
    quality = quality_metric(objectives, teacher)
    if constraints == Constraints():
        points = [[row[name] for name in objectives] for row in front]
        return front[knee(points, list(objectives.values()))]
    fitting = [row for row in front if _fulfils(row, constraints, quality, teacher)]
    if not fitting:
        return None
    if any(objective(metric).kind in ("cost", "rate") for metric in constraints.metrics):
        return min(fitting, key=lambda row: (-row[quality], row["size_mb"], row["trial_id"]))
    return min(fitting, key=lambda row: (row["size_mb"], -row[quality], row["trial_id"]))


def _front(folder: SweepFolder, summary: Mapping[str, Any], config: Mapping[str, Any]) -> list[Row]:
    rows = [
        {str(key): cell for key, cell in row.items()}
        for row in read_trials(folder).to_dict("records")
    ]
    by_id = {row["trial_id"]: row for row in rows}
    if not summary["front"]:
        raise ConfigError([_no_front(folder, summary, by_id, config)])
    return [by_id[trial_id] for trial_id in summary["front"]]


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
    if not all(is_feasible(row, part) for part in constraints.parts):
        return False
    least = None if constraints.within is None else teacher[quality] * (1 - constraints.within)
    return least is None or bool(row[quality] >= least)


def _none_fits(folder: SweepFolder, front: Sequence[Row], metrics: Sequence[str]) -> Problem:
    ranges = [_range(front, metric) for metric in dict.fromkeys(["size_mb", *metrics])]
    message = (
        f"no student on the front fulfils that; there are {len(front)}, of "
        f"{', '.join(ranges)} on validation"
    )
    return Problem(str(folder.root), message)


def _range(front: Sequence[Row], metric: str) -> str:
    values = [row[metric] for row in front if not is_missing(row.get(metric))]
    if not values:
        return f"{metric} not measured"
    return f"{metric} {measured(metric, min(values))} to {measured(metric, max(values))}"
