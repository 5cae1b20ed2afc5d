"""The tables of a report, as plain rows of text.

A table is `{"columns": [{"name", "numeric"}], "rows": [{"kind", "cells"}]}`; the kind of a row is
`teacher`, `chosen` (the headline's student) or empty. In the table of the front a column also says
whether it is of what was `drawn`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kdray.reporting.baselines import baseline_columns
from kdray.reporting.formats import MISSING, drawn, measured, percent, portion, times
from kdray.reporting.headline import Row, against
from kdray.reporting.objectives import objective
from kdray.reporting.stored import WEIGHTS, teachers

Column = tuple[str, bool, Callable[[Row], str]]
Table = dict[str, list[dict[str, Any]]]

TEACHER, DRAWN, STORED = "teacher", "drawn", "stored as"
# The parameters that say what a student is come first, under short names.
_NAMES = {
    WEIGHTS: STORED,
    "student.layers": "layers",
    "pruning.method": "pruning",
    "pruning.ratio": "ratio",
    "distillation.method": "distillation",
    "distillation.alpha": "alpha",
    "distillation.temperature": "temperature",
    "regime.name": "regime",
}
# What goes without saying where it was not searched.
_USUAL = {"regime.name": "single"}


def front_table(
    front: Sequence[Row],
    chosen: Row | None,
    teacher: Row,
    config: Mapping[str, Any],
    metric: str,
) -> Table:
    """Returns the teacher and the trials on the front; a column that holds nothing is left out.

    The teacher stands there once for each number format of the front, with its size in it.

    Args:
        front: Rows of `trials.csv`, in the order of the front.
        chosen: The one that the headline speaks of.
        teacher: The teacher's metrics.
        config: `config` of `sweep.yaml`: objectives, and what was fixed instead of drawn.
        metric: The validation metric that is the quality.
    """
    at_the_head = [{"trial_id": TEACHER, **row} for row in teachers(front, teacher)]
    rows = [*at_the_head, *front]
    kinds = [TEACHER] * len(at_the_head) + ["chosen" if row is chosen else "" for row in front]
    parameters = _parameter_columns(front, config)
    columns = [
        ("trial", False, lambda row: str(row["trial_id"])),
        *_metric_columns(teacher, config, metric),
        *baseline_columns(front, metric),
        *parameters,
    ]
    table = _table([column for column in columns if _filled(column, rows)], rows, kinds)
    drawn_ones = {name for name, _, _ in parameters}
    return {**table, "columns": [{**c, DRAWN: c["name"] in drawn_ones} for c in table["columns"]]}


def failed_table(rows: Sequence[Row]) -> Table:
    """Returns the failed trials with the stage and the reason."""
    failed = [row for row in rows if row["status"] == "failed"]
    names = {"trial": "trial_id", "stage": "stage", "error": "error"}
    columns = [_cell_column(name, key, numeric=False) for name, key in names.items()]
    return _table(columns, failed, [""] * len(failed))


def infeasible_table(rows: Sequence[Row], metrics: Sequence[str]) -> Table:
    """Returns the completed trials that do not keep to the constraints.

    Args:
        rows: Rows of `trials.csv`.
        metrics: What is shown of them: what is constrained, and the objectives.
    """
    outside = [row for row in rows if row.get("feasible") is False]
    columns = [_cell_column("trial", "trial_id", numeric=False), *map(_metric_column, metrics)]
    return _table(columns, outside, [""] * len(outside))


def _metric_columns(teacher: Row, config: Mapping[str, Any], metric: str) -> list[Column]:
    def beside(field: str) -> Callable[[Row], Any]:
        return lambda row: getattr(against(row, teacher, metric), field)

    retention, size, speedup = beside("retention"), beside("size"), beside("speedup")
    others = [name for name in config["objectives"] if name not in (metric, "size_mb")]
    return [
        _metric_column(f"test_{metric}", f"{objective(metric).label}, test"),
        _metric_column(metric, f"{objective(metric).label}, validation"),
        *_columns_elsewhere(teacher, metric),
        *(_metric_column(name) for name in others),
        _metric_column("size_mb"),
        ("of teacher's size", True, lambda row: portion(size(row))),
        ("retention", True, lambda row: percent(retention(row))),
        ("speed-up", True, lambda row: times(speedup(row))),
    ]


def _columns_elsewhere(teacher: Row, metric: str) -> list[Column]:
    """The quality under typing noise, on test, and on texts of another domain."""
    noisy = [
        name for name in teacher if re.fullmatch(f"test_noise_[0-9]+_{re.escape(metric)}", name)
    ]
    headings = {n: f"{objective(n.removeprefix('test_')).label}, test" for n in noisy}
    headings |= {f"ood_{metric}": ""}
    return [_metric_column(name, heading) for name, heading in headings.items()]


def _metric_column(metric: str, heading: str = "") -> Column:
    return heading or objective(metric).axis, True, lambda row: measured(metric, row.get(metric))


def _parameter_columns(front: Sequence[Row], config: Mapping[str, Any]) -> list[Column]:
    # A metric has no name of a section of the file, so this tells the two apart.
    names = {name for row in front for name in row if name.split(".")[0] in config}
    rest = sorted(names - set(_NAMES))
    return [_parameter_column(name, config) for name in [*_NAMES, *rest]]


def configuration(row: Row, config: Mapping[str, Any]) -> str:
    """Returns what a trial was drawn as, an option a line: "layers 2", "pruning magnitude".

    Args:
        row: Its row of `trials.csv`.
        config: `config` of `sweep.yaml`.
    """
    told = [(name, cell(row)) for name, _, cell in _parameter_columns([row], config)]
    return "\n".join(f"{name} {value}" for name, value in told if value != MISSING)


def _parameter_column(name: str, config: Mapping[str, Any]) -> Column:
    numeric = not name.endswith("method") and name != WEIGHTS
    return _NAMES.get(name, name), numeric, lambda row: _parameter(row, name, config)


def _parameter(row: Row, name: str, config: Mapping[str, Any]) -> str:
    """What was drawn, or else what the file fixes; a method that does nothing has no options."""
    section, _, option = name.partition(".")
    if drawn(row.get(name)) != MISSING or row["trial_id"] == TEACHER:
        return drawn(row.get(name))
    method = f"{section}.method"
    if name != method and _parameter(row, method, config) == "none":
        return MISSING
    options = config.get(section)
    value = options.get(option) if isinstance(options, Mapping) else None
    unsaid = isinstance(value, (Mapping, list)) or value == _USUAL.get(name)
    return MISSING if unsaid else drawn(value)


def _cell_column(name: str, key: str, *, numeric: bool) -> Column:
    return name, numeric, lambda row: drawn(row.get(key))


def _filled(column: Column, rows: Sequence[Row]) -> bool:
    return any(column[2](row) != MISSING for row in rows)


def _table(columns: Sequence[Column], rows: Sequence[Row], kinds: Sequence[str]) -> Table:
    return {
        "columns": [{"name": name, "numeric": numeric} for name, numeric, _ in columns],
        "rows": [
            {"kind": kind, "cells": [cell(row) for _, _, cell in columns]}
            for row, kind in zip(rows, kinds, strict=True)
        ],
    }
