"""The figure of a sweep: quality against size, with the front and the teacher.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; the shapes differ as well.
https://jfly.uni-koeln.de/color/
"""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from pandas import DataFrame

from kdray.reporting.formats import is_missing, measured, percent, short
from kdray.reporting.naming import name_points
from kdray.reporting.objectives import objective
from kdray.reporting.pareto import Direction
from kdray.reporting.stored import WEIGHTS, WHOLE, Row, teachers

FRONT, TEACHER, OTHER, INK = "#0072B2", "#D55E00", "#8C8C8C", "#333333"
KEPT = 0.97
NUMBER = "number of the trial"


def pareto_figure(
    trials: DataFrame, summary: Mapping[str, Any], objectives: Mapping[str, Direction]
) -> Figure:
    """Returns the figure: the first maximised objective against the first minimised one.

    Trials are shown on validation, where the front was decided. With one objective the x axis is
    the number of the trial; else it is logarithmic if values span more than a factor of 10.

    Args:
        trials: What `read_trials` returns.
        summary: What is in `summary.json`: the front and the teacher's metrics. On an axis of sizes
            the teacher is shown in each number format that `trials` names in `student.weights`.
        objectives: Direction of each objective.
    """
    x, y = axes_of(objectives)
    table = trials.assign(**{NUMBER: trials["trial_id"].astype(int)}).set_index("trial_id")
    front = table.loc[summary["front"]]
    figure = Figure(figsize=(8, 5), dpi=200, layout="constrained")
    axes = figure.add_subplot()
    _style(axes, x, y, objectives)
    _show_trials(axes, table, x, y)
    _show_front(axes, front, x, y, objectives)
    teacher = summary["teacher"]
    stored = teachers(table.to_dict("records"), teacher) if "size_mb" in (x, y) else [teacher]
    _show_teacher(axes, stored, x, y)
    if x != NUMBER:
        _scale(axes, [*table[x][table[y].notna()], *(row.get(x) for row in stored)])
    figure.legend(loc="outside upper left", ncols=3, frameon=False, fontsize=10)
    places = [(float(a), float(b)) for a, b in front[[x, y]].to_numpy(dtype=float)]
    name_points(figure, axes, [str(name) for name in front.index], places, FRONT)
    return figure


def axes_of(objectives: Mapping[str, Direction]) -> tuple[str, str]:
    """Returns what the x and the y axis show: two objectives, or the trial's number and one."""
    names = list(objectives)
    y = next((name for name in names if objectives[name] == "maximize"), names[0])
    others = [name for name in names if name != y]
    x = next((name for name in others if objectives[name] == "minimize"), [*others, NUMBER][0])
    return x, y


def without_axis(objectives: Mapping[str, Direction]) -> list[str]:
    """Returns the labels of the objectives that the figure has no axis for."""
    rest = [name for name in objectives if name not in axes_of(objectives)]
    return [objective(name, objectives[name]).label for name in rest]


def _style(axes: Axes, x: str, y: str, objectives: Mapping[str, Direction]) -> None:
    axes.set_xlabel(axis_label(x, objectives), fontsize=11, color=INK)
    axes.set_ylabel(axis_label(y, objectives), fontsize=11, color=INK)
    axes.tick_params(labelsize=10, colors=INK)
    axes.grid(color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(0.07, 0.1)


def axis_label(metric: str, objectives: Mapping[str, Direction]) -> str:
    """Returns what stands on an axis: the metric, its unit, and where it depends on texts."""
    if metric == NUMBER:
        return metric
    row = objective(metric, objectives[metric])
    return f"{row.axis}, validation" if row.kind in ("quality", "loss") else row.axis


def _show_trials(axes: Axes, table: DataFrame, x: str, y: str) -> None:
    known = table[table[[x, y]].notna().all(axis=1)]
    # Only a sweep with constraints has the column, and only its completed trials have a value.
    outside = known.get("feasible", known["status"]).eq(False)
    rest = known[(known["status"] == "completed") & ~known["on_front"] & ~outside]
    stopped = known[known["status"] == "stopped_early"]
    if len(rest):
        axes.scatter(rest[x], rest[y], s=34, c=OTHER, alpha=0.55, lw=0, label="completed")
    if outside.any():
        at = known[outside]
        axes.scatter(at[x], at[y], s=34, c=OTHER, marker="x", label="outside the constraints")
    if len(stopped):
        axes.scatter(stopped[x], stopped[y], s=34, fc="none", ec=OTHER, label="stopped early")


def _show_front(
    axes: Axes, front: DataFrame, x: str, y: str, objectives: Mapping[str, Direction]
) -> None:
    """Draws the front: as steps, which show what is to be had up to an x, if it is flat."""
    if front.empty:
        return
    way = front.sort_values(x)
    axes.plot(
        way[x],
        way[y],
        color=FRONT,
        linestyle="-" if len(objectives) == 2 else "none",
        drawstyle="steps-post" if objectives.get(x) == "minimize" else "steps-pre",
        marker="o",
        markersize=8,
        label="front",
        zorder=3,
    )


def _show_teacher(axes: Axes, stored: Sequence[Row], x: str, y: str) -> None:
    """Draws the teacher, once for each number format that its size is given in."""
    value = stored[0].get(y)
    if value is None or is_missing(value):
        return
    if objective(y).kind == "quality":
        share = percent(KEPT).replace(".0", "")
        axes.axhline(KEPT * value, color=TEACHER, ls=":", lw=1.3, label=f"{share} of the teacher")
    if x not in stored[0]:
        axes.axhline(value, color=TEACHER, lw=1.3, label=f"teacher: {measured(y, value)}")
        return
    unit = f" {objective(x).unit}" if objective(x).unit else ""
    for row in stored:
        inside = "" if row.get(WEIGHTS, WHOLE) == WHOLE else f" in {row[WEIGHTS]}"
        label = f"teacher: {measured(y, row[y])} at {short(row[x])}{unit}{inside}"
        axes.plot(row[x], row[y], "*", ms=17, c=TEACHER, mec="white", zorder=4, label=label)


def _scale(axes: Axes, values: Sequence[float | None]) -> None:
    known = [value for value in values if value is not None and not is_missing(value)]
    if spans_decade(known):
        set_log_scale(axes)


def spans_decade(values: Sequence[float]) -> bool:
    """Tells whether an axis is to be logarithmic: positive values of more than a factor of 10."""
    return bool(values) and min(values) > 0 and max(values) > 10 * min(values)


def set_log_scale(axes: Axes) -> None:
    """Makes the x axis logarithmic, with ticks at 1, 2 and 5."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
