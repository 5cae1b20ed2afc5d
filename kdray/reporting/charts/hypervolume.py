"""The hypervolume as trials end: over their number, and over time."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from kdray.reporting.charts.base import Chart, Read, Role, Series
from kdray.reporting.formats import is_missing
from kdray.reporting.headline import Row
from kdray.reporting.objectives import ideal_point
from kdray.reporting.pareto import added_hypervolume, hypervolume
from kdray.reporting.students import names

_UNITS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))


def hypervolume_charts(sweeps: Sequence[Read]) -> list[Chart]:
    """Returns the hypervolume over trials and over time, in the order in which trials ended.

    Several sweeps are measured alike: from the reference point of the first, to its teacher.
    """
    ended = [_in_order(sweep.rows) for sweep in sweeps]
    values = [_growth(rows, sweeps[0]) for rows in ended]
    if not any(value > 0 for series in values for value in series):
        return []
    called = names(sweeps) if len(sweeps) > 1 else [""]
    scale = "All are measured from the reference point of the first. " if len(sweeps) > 1 else ""
    says = f"{scale}Where it is flat, trials found no student that was better in a new way."
    numbers = [list(range(len(rows) + 1)) for rows in ended]
    seconds, x = _clock(ended)
    divisor, unit = _unit(seconds)
    times = [[second / divisor for second in series] for series in seconds]
    kinds = (("trials", "trials that ended", numbers), ("time", f"{x} ({unit})", times))
    return [
        Chart(
            name=f"hypervolume_{over}",
            title=f"Hypervolume over {over}",
            says=says,
            x=axis,
            y="hypervolume",
            series=_series(called, places, values),
        )
        for over, axis, places in kinds
        if max(series[-1] for series in places) > 0
    ]


def joint_hypervolume(sweeps: Sequence[Read], measure: Read) -> float:
    """Returns the normalised hypervolume of what all sweeps found.

    Args:
        sweeps: Whose trials count.
        measure: The sweep whose reference point and teacher are the two ends of the scale.
    """
    return _growth([row for sweep in sweeps for row in sweep.rows], measure)[-1]


def _series(
    called: Sequence[str], x: Sequence[Sequence[float]], y: Sequence[Sequence[float]]
) -> list[Series]:
    found = zip(called, x, y, strict=True)
    role: Role = "sweep" if len(called) > 1 else "nth"
    return [Series(name, across, up, kind="steps", role=role) for name, across, up in found]


def _in_order(rows: Sequence[Row]) -> list[Row]:
    """Trials as they ended; by their ids where a sweep of an older version has not written that."""
    return sorted(rows, key=lambda row: row["ended_at"]) if _is_timed(rows) else list(rows)


def _is_timed(rows: Sequence[Row]) -> bool:
    return all(not is_missing(row.get("ended_at")) for row in rows)


def _growth(rows: Sequence[Row], measure: Read) -> list[float]:
    """The hypervolume of the first n trials, for n from 0."""
    objectives = measure.config["objectives"]
    ways = list(objectives.values())
    reference = list(measure.summary["reference_point"].values())
    ideal = list(ideal_point(objectives, {"metrics": measure.summary["teacher"]}).values())
    box = hypervolume([ideal], reference, ways) or math.inf
    values, better = [0.0], list[list[float]]()
    for row in rows:
        added, point = 0.0, [row[name] for name in objectives]
        if row["status"] == "completed" and row.get("feasible") is not False:
            added = added_hypervolume(point, better, reference, ways)
        better += [point] if added else []
        values.append(values[-1] + added / box)
    return values


def _clock(ended: Sequence[Sequence[Row]]) -> tuple[list[list[float]], str]:
    """Seconds until each trial had ended, and what they are."""
    if all(_is_timed(rows) for rows in ended):
        return [_running(rows) for rows in ended], "time in which trials ran"
    sums = [[0.0, *np.cumsum([row["duration_s"] for row in rows])] for rows in ended]
    return [[float(value) for value in series] for series in sums], "time of trials, one by one"


def _running(rows: Sequence[Row]) -> list[float]:
    """Seconds in which at least one trial ran, until each ended: pauses do not count."""
    ends = [datetime.fromisoformat(row["ended_at"]).timestamp() for row in rows]
    spans = zip(ends, (row["duration_s"] for row in rows), strict=True)
    begins, before, covered, until = [0.0], [0.0], 0.0, 0.0
    for begin, end in sorted((end - seconds, end) for end, seconds in spans):
        if begin > until:
            covered += until - begins[-1]
            begins.append(begin)
            before.append(covered)
        until = max(until, end)
    places = [bisect_right(begins, end) - 1 for end in ends]
    return [0.0, *(before[n] + end - begins[n] for n, end in zip(places, ends, strict=True))]


def _unit(seconds: Sequence[Sequence[float]]) -> tuple[float, str]:
    longest = max(series[-1] for series in seconds)
    return next(((size, name) for size, name in _UNITS if longest >= 2 * size), _UNITS[-1])
