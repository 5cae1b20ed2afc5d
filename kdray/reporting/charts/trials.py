"""What figures need to know of trials: what they were drawn as, and what they stand beside."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from kdray.reporting.charts.base import Read
from kdray.reporting.formats import is_missing, measured
from kdray.reporting.headline import Row
from kdray.reporting.objectives import objective
from kdray.reporting.students import quality_of
from kdray.reporting.tables import configuration

METHOD, ALPHA, NO_TEACHER = "distillation.method", "distillation.alpha", "none"


def completed(sweep: Read) -> list[Row]:
    """Returns the completed trials that have a value of the sweep's quality."""
    metric = quality_of(sweep)
    known = [row for row in sweep.rows if row["status"] == "completed"]
    return [row for row in known if not is_missing(row.get(metric))]


def qualities(rows: Sequence[Row], sweep: Read) -> list[float]:
    """Returns the quality of trials, on validation."""
    metric = quality_of(sweep)
    return [float(row[metric]) for row in rows]


def quality_axis(sweep: Read) -> str:
    """Returns what an axis of the sweep's quality is called."""
    return f"{objective(quality_of(sweep)).axis}, validation"


def is_better_high(sweep: Read) -> bool:
    """Tells whether more of the sweep's quality is better."""
    metric = quality_of(sweep)
    return objective(metric, sweep.config["objectives"].get(metric)).direction == "maximize"


def setting(row: Row, sweep: Read, name: str) -> Any:
    """Returns what was drawn for a trial, or else what the file fixes; None if neither is known.

    Args:
        row: A row of `trials.csv`.
        sweep: Where it is from.
        name: A dotted name of two parts, such as `distillation.method`.
    """
    if not is_missing(row.get(name)):
        return row[name]
    section, _, option = name.partition(".")
    options = sweep.config.get(section)
    value = options.get(option) if isinstance(options, Mapping) else None
    return None if isinstance(value, Mapping | list) else value


def told(row: Row, sweep: Read) -> str:
    """Returns what is said of a trial that is pointed at: its quality and what was drawn."""
    metric = quality_of(sweep)
    value = f"{objective(metric).label} {measured(metric, row[metric])}"
    return f"trial {row['trial_id']}\n{value}\n{configuration(row, sweep.config)}"


def counted(number: int) -> str:
    """Returns "1 trial" or "7 trials"."""
    return f"{number} trial{'' if number == 1 else 's'}"


def levels(sweep: Read) -> dict[str, float]:
    """Returns the qualities that trials are seen against, by what they are, on validation.

    They are the teacher's, the best of the label-only baselines, and the median of the trials that
    learnt without a teacher; each only where there is one.
    """
    metric = quality_of(sweep)
    better = max if is_better_high(sweep) else min
    found = {"teacher": sweep.summary["teacher"].get(metric)}
    runs = sweep.summary.get("baselines", {}).values()
    values = [run.get("metrics", {}).get(f"baseline_{metric}") for run in runs]
    beside = [value for value in values if not is_missing(value)]
    found["labels only: best baseline"] = better(beside) if beside else None
    alone = [row for row in completed(sweep) if setting(row, sweep, METHOD) == NO_TEACHER]
    name = f"labels only: median of {counted(len(alone))}"
    found[name] = median(qualities(alone, sweep)) if alone else None
    return {name: float(value) for name, value in found.items() if not is_missing(value)}
