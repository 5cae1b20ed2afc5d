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
# Methods that the teacher's weight, alpha, is all of: at 0 nothing is left of the teacher.
ALPHA_ALONE = ("logit", "logit_mse", "hard")
# In the row of a baseline.
TWIN = "is_twin"


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


def counted(number: int, name: str = "trial") -> str:
    """Returns "1 trial" or "7 trials"."""
    return f"{number} {name}{'' if number == 1 else 's'}"


def counted_rows(rows: Sequence[Row]) -> str:
    """Returns "7 trials", "3 baselines" or "7 trials and 3 baselines"."""
    twins = sum(TWIN in row for row in rows)
    numbers = {"trial": len(rows) - twins, "baseline": twins}
    return " and ".join(counted(number, name) for name, number in numbers.items() if number)


def is_labels_only(row: Row, sweep: Read) -> bool:
    """Tells whether a trial learnt from labels alone.

    That is method `none`, or alpha 0 where alpha weighs all that is of the teacher.
    """
    method = setting(row, sweep, METHOD)
    without = method in ALPHA_ALONE and setting(row, sweep, ALPHA) == 0
    return bool(method == NO_TEACHER or without)


def labels_only(sweep: Read) -> list[Row]:
    """Returns all that learnt from labels alone: trials, and the front's label-only baselines."""
    metric = quality_of(sweep)
    known = completed(sweep)
    twins = [_twin(row, metric) for row in known if not is_missing(row.get(f"baseline_{metric}"))]
    return [*(row for row in known if is_labels_only(row, sweep)), *twins]


def _twin(row: Row, metric: str) -> Row:
    """The label-only baseline of a trial, as a row of its own."""
    student = {name: value for name, value in row.items() if not name.startswith("distillation.")}
    told = {"trial_id": f"{row['trial_id']}, labels only", metric: row[f"baseline_{metric}"]}
    return {**student, **told, METHOD: NO_TEACHER, TWIN: True}


def levels(sweep: Read) -> dict[str, float]:
    """Returns the qualities that trials are seen against, by what they are, on validation.

    They are the teacher's, and the best and the median of what learnt from labels alone; each only
    where there is one.
    """
    found = {"teacher": sweep.summary["teacher"].get(quality_of(sweep))}
    values = qualities(labels_only(sweep), sweep)
    if len(values) > 1:
        found["labels only: best"] = (max if is_better_high(sweep) else min)(values)
    if values:
        found["labels only: median"] = median(values)
    return {name: float(value) for name, value in found.items() if not is_missing(value)}
