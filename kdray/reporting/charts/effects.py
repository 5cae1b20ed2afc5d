"""What temperature and alpha do to the quality, where they are searched."""

from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np

from kdray.reporting.charts.base import Chart, Read, Series
from kdray.reporting.charts.chance import said
from kdray.reporting.charts.trials import (
    ALPHA,
    METHOD,
    completed,
    counted,
    levels,
    qualities,
    quality_axis,
    setting,
    told,
)
from kdray.reporting.formats import drawn, is_missing, measured
from kdray.reporting.headline import Row
from kdray.reporting.objectives import objective
from kdray.reporting.students import quality_of

TEMPERATURE = "distillation.temperature"
# With more values than this, trials are told of in thirds.
FEW_VALUES = 4
# With more methods than this a legend of them takes the figure's place: hover tells them.
MOST_METHODS = 6
_AXES = {
    TEMPERATURE: ("temperature", "temperature T"),
    ALPHA: ("alpha", "alpha: weight of the teacher, labels get 1 − alpha"),
}


def effect_charts(sweep: Read) -> list[Chart]:
    """Returns the quality over temperature and over alpha, by distillation method."""
    found = {name: _having(sweep, name) for name in _AXES}
    return [
        _chart(sweep, name, rows)
        for name, rows in found.items()
        if len({row[name] for row in rows}) > 1
    ]


def _having(sweep: Read, name: str) -> list[Row]:
    return [row for row in completed(sweep) if not is_missing(row.get(name))]


def _chart(sweep: Read, name: str, rows: Sequence[Row]) -> Chart:
    short, axis = _AXES[name]
    values = [float(row[name]) for row in rows]
    by_method = _by_method(sweep, rows)
    return Chart(
        name=short,
        title=f"Effect of {short}",
        says=_says(sweep, name, rows),
        x=axis,
        y=quality_axis(sweep),
        series=[_series(sweep, name, method, own) for method, own in by_method.items()],
        lines=levels(sweep),
        log_x=min(values) > 0 and max(values) > 10 * min(values),
    )


def _by_method(sweep: Read, rows: Sequence[Row]) -> Mapping[str, Sequence[Row]]:
    """Trials by their distillation method; all together if there are many methods."""
    called = [str(setting(row, sweep, METHOD) or "") for row in rows]
    if len(set(called)) > MOST_METHODS:
        return {f"trials, {len(set(called))} methods": rows}
    named = list(zip(called, rows, strict=True))
    return {method: [row for name, row in named if name == method] for method in sorted({*called})}


def _series(sweep: Read, name: str, method: str, rows: Sequence[Row]) -> Series:
    return Series(
        method,
        [float(row[name]) for row in rows],
        qualities(rows, sweep),
        hover=[told(row, sweep) for row in rows],
        ids=[str(row["trial_id"]) for row in rows],
    )


def _says(sweep: Read, name: str, rows: Sequence[Row]) -> str:
    parts = _parts(_AXES[name][0], [float(row[name]) for row in rows])
    known, metric = np.array(qualities(rows, sweep)), quality_of(sweep)
    groups = {where: known[places].tolist() for where, places in parts.items()}
    medians = ", ".join(
        f"{measured(metric, median(group))} {where} ({counted(len(group))})"
        for where, group in groups.items()
    )
    head = f"Median {objective(metric).label}: {medians}."
    return f"{head} {said(list(groups.values()))}"


def _parts(name: str, values: Sequence[float]) -> dict[str, Sequence[int]]:
    """The places of the values in some parts, by words such as "up to 2.9" that say which."""
    different = sorted(set(values))
    if len(different) <= FEW_VALUES:
        return {
            f"at {name} {drawn(one)}": [n for n, value in enumerate(values) if value == one]
            for one in different
        }
    low, high = (float(limit) for limit in np.quantile(values, [1 / 3, 2 / 3]))
    parts = {
        f"at {name} up to {drawn(low)}": [n for n, v in enumerate(values) if v <= low],
        f"up to {drawn(high)}": [n for n, v in enumerate(values) if low < v <= high],
        "above that": [n for n, v in enumerate(values) if v > high],
    }
    return {where: places for where, places in parts.items() if places}
