"""Draws figures for paper and for pages without scripts: PNG in colours on white."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from kdray.reporting.charts.base import Chart, Series
from kdray.reporting.charts.categories import categories, counts, is_lying
from kdray.reporting.charts.colours import (
    FRONT,
    GRID,
    INK,
    SOFT,
    colours,
    has_marks,
    is_front,
    line_colour,
    nth_places,
)
from kdray.reporting.figures import set_log_scale
from kdray.reporting.naming import name_points

COLOURS = 64
_SYMBOLS = "osD^Pvp"
_STYLES: Sequence[Any] = ("-", "--", ":", "-.")
_MARKS: Mapping[str, Mapping[str, Any]] = {
    "front": {"marker": "o", "ms": 9},
    "ring": {"marker": "o", "ms": 11, "mfc": "none", "mew": 1.5},
    "other": {"marker": "o", "ms": 5.5, "alpha": 0.55, "mew": 0},
    "stopped": {"marker": "o", "ms": 5.5, "mfc": "none"},
    "infeasible": {"marker": "x", "ms": 5.5},
    "teacher": {"marker": "*", "ms": 16, "mec": "white"},
    "baseline": {"marker": "D", "ms": 6, "mfc": "none"},
}


def png(chart: Chart) -> bytes:
    """Returns a figure as a small PNG, 7.2 × 4.4 inches; see `small_png`.

    Points of the front are named by their trials, where there is a free place.
    """
    return small_png(matplotlib_figure(chart))


def small_png(figure: Figure) -> bytes:
    """Returns what matplotlib draws as a PNG in 64 colours that says how many dots an inch has."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="rgba")
    size = round(figure.bbox.width), round(figure.bbox.height)
    few = Image.frombytes("RGBA", size, drawn.getvalue()).convert("RGB")
    reduced, dots = io.BytesIO(), (figure.dpi, figure.dpi)
    few = few.quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
    few.save(reduced, format="png", dpi=dots)
    return reduced.getvalue()


def matplotlib_figure(chart: Chart) -> Figure:
    """Returns a figure as matplotlib draws it."""
    figure = Figure(figsize=(7.2, 4.4), dpi=200, layout="constrained")
    axes = figure.add_subplot()
    _style(axes, chart)
    for one, colour, nth in zip(chart.series, colours(chart), nth_places(chart), strict=True):
        if one.kind == "bars":
            _draw_bars(axes, chart, one, colour)
        else:
            _draw(axes, one, _places(chart, one), (colour, nth))
    line = axes.axvline if is_lying(chart) else axes.axhline
    for nth, (name, height) in enumerate(chart.lines.items()):
        style = _STYLES[1:][nth % 3]
        line(height, color=line_colour(name), ls=style, lw=1.3, label=name, zorder=1)
    _scale(axes, chart)
    if axes.get_legend_handles_labels()[1]:
        figure.legend(loc="outside upper left", ncols=3, frameon=False, fontsize=9)
    for one in chart.series:
        if is_front(one) and one.ids is not None:
            places = list(zip(_places(chart, one), one.y, strict=True))
            name_points(figure, axes, one.ids, places, FRONT)
    return figure


def _style(axes: Axes, chart: Chart) -> None:
    axes.set_xlabel(chart.x, fontsize=10, color=INK)
    axes.set_ylabel(chart.y, fontsize=10, color=INK)
    axes.tick_params(labelsize=9, colors=SOFT, length=3)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SOFT)
    axes.margins(0.05, 0.08)


def _places(chart: Chart, one: Series) -> Any:
    """Where the values of a series stand on the x axis: bars of several series side by side."""
    words = categories(chart)
    places = np.array([words.index(str(value)) for value in one.x] if words else one.x, dtype=float)
    bars = [other for other in chart.series if other.kind == "bars"]
    if one.kind != "bars" or len(bars) == 1:
        return places
    return places + (bars.index(one) - (len(bars) - 1) / 2) * _width(chart)


def _width(chart: Chart) -> float:
    return 0.7 / max(1, sum(one.kind == "bars" for one in chart.series))


def _draw_bars(axes: Axes, chart: Chart, one: Series, colour: str) -> None:
    look: dict[str, Any] = {"color": colour, "ecolor": INK, "label": one.name or None}
    places, width = _places(chart, one), _width(chart)
    if is_lying(chart):
        axes.barh(places, one.y, width, xerr=one.error, **look)
    else:
        axes.bar(places, one.y, width, yerr=one.error, **look)


def _draw(axes: Axes, one: Series, x: Any, look: tuple[str, int]) -> None:
    colour, nth = look
    lines = one.kind in ("line", "steps")
    options: dict[str, Any] = {
        "color": colour,
        "ls": _STYLES[nth // len(_SYMBOLS) % len(_STYLES)] if lines else "none",
        "drawstyle": "steps-post" if one.kind == "steps" else "default",
        "zorder": 4 if one.role == "teacher" else 3 if is_front(one) else 2,
        "label": one.name or None,
    }
    if has_marks(one):
        plain = {"marker": _SYMBOLS[nth % len(_SYMBOLS)], "ms": 5.5, "mec": "white", "mew": 0.6}
        options |= _MARKS.get(one.role, plain)
    if one.error is not None:
        axes.errorbar(x, one.y, yerr=one.error, capsize=3, **options)
    else:
        axes.plot(x, one.y, **options)


def _scale(axes: Axes, chart: Chart) -> None:
    words = categories(chart)
    if is_lying(chart):
        axes.set_yticks(range(len(words)), words)
        axes.invert_yaxis()
        axes.set(xlabel=chart.y, ylabel="")
    elif words:
        axes.set_xticks(range(len(words)), words)
    elif chart.log_x:
        set_log_scale(axes)
    elif counts(chart):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
