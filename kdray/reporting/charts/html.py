"""Draws figures for the browser: what Plotly's `newPlot` takes, in colours for white.

https://plotly.com/javascript/reference/
"""

import html
import json
import math
import re
import textwrap
from collections.abc import Sequence
from typing import Any

from kdray.reporting.charts.base import Chart, Series
from kdray.reporting.charts.categories import categories, counts, is_lying
from kdray.reporting.charts.colours import (
    GRID,
    INK,
    PAPER,
    SOFT,
    colours,
    has_marks,
    line_colour,
    nth_places,
)

_FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif'
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "pentagon")
_DASHES = ("solid", "dash", "dot", "dashdot")
# Symbol, size and opacity of what is not simply the next series.
_MARKS: dict[str, tuple[str, float, float]] = {
    "front": ("circle", 12, 1.0),
    "other": ("circle", 8, 0.7),
    "stopped": ("circle-open", 7, 0.8),
    "infeasible": ("x-thin-open", 7, 0.9),
    "teacher": ("star", 16, 1.0),
    "baseline": ("diamond-open", 8, 1.0),
}


def plotly_figure(chart: Chart) -> dict[str, Any]:
    """Returns a figure as `{"data": [...], "layout": {...}}`, checked by Plotly, as plain JSON.

    Texts are shown as they are: Plotly would read markup in them.
    """
    import plotly.graph_objects as go

    marks = zip(chart.series, colours(chart), nth_places(chart), strict=True)
    traces, layout = [_trace(chart, *mark) for mark in marks], _layout(chart)
    traces += [
        _target(trace) for trace, one in zip(traces, chart.series, strict=True) if _leads(one)
    ]
    if is_lying(chart):
        traces, layout = [_turned(trace) for trace in traces], _turned_layout(layout)
    figure = go.Figure(data=traces, layout=layout)
    drawn: dict[str, Any] = json.loads(str(figure.to_json()))
    # Some kilobytes of defaults of Plotly's Python side, which the page overrides anyway.
    drawn["layout"].pop("template", None)
    return drawn


def _trace(chart: Chart, one: Series, colour: str, nth: int) -> dict[str, Any]:
    trace: dict[str, Any] = {
        "name": _shown(one.name),
        "x": [_shown(value) if isinstance(value, str) else value for value in one.x],
        "y": list(one.y),
        "showlegend": bool(one.name),
        **_drawn(one, colour, nth),
        **_said(chart, one),
    }
    if one.ids is not None:
        trace["customdata"] = list(one.ids)
    if one.error is not None:
        trace["error_y"] = {"array": list(one.error), "color": colour, "thickness": 1.5, "width": 4}
    return trace


def _leads(one: Series) -> bool:
    return one.role == "front" and one.hover is not None


def _target(trace: dict[str, Any]) -> dict[str, Any]:
    """Unseen marks on those of a series, which are hit before what lies about them.

    Of marks that lie under the pointer Plotly takes the smallest, whichever is on top.
    """
    unseen = {"mode": "markers", "marker": {"size": 6, "opacity": 0}, "showlegend": False}
    return {**trace, **unseen}


def _turned(trace: dict[str, Any]) -> dict[str, Any]:
    letters = str.maketrans("xy", "yx")
    said = re.sub("%{[xy]", lambda found: found[0].translate(letters), trace["hovertemplate"])
    errors = {"error_x": trace["error_y"], "error_y": None} if "error_y" in trace else {}
    swapped = {"x": trace["y"], "y": trace["x"], "orientation": "h", "hovertemplate": said}
    return {**trace, **swapped, **errors}


def _turned_layout(layout: dict[str, Any]) -> dict[str, Any]:
    """The first word stands at the top, and lines are upright."""
    letters = str.maketrans("xy", "yx")
    names = {key: key.translate(letters) for key in ("xref", "x0", "x1", "y0", "y1")}
    shapes = [
        {names.get(key, key): value for key, value in shape.items()} for shape in layout["shapes"]
    ]
    words = {**layout["xaxis"], "autorange": "reversed", "title": None, "showgrid": False}
    return {**layout, "xaxis": layout["yaxis"], "yaxis": words, "shapes": shapes}


def _drawn(one: Series, colour: str, nth: int) -> dict[str, Any]:
    if one.kind == "bars":
        return {"type": "bar", "marker": {"color": colour}}
    symbol, size, opacity = _MARKS.get(one.role, (_SYMBOLS[nth % len(_SYMBOLS)], 9, 0.9))
    lines = one.kind in ("line", "steps")
    mode = "+".join(part for part, on in (("lines", lines), ("markers", has_marks(one))) if on)
    line: dict[str, Any] = {"color": colour, "width": 2}
    if one.role == "nth":
        line["dash"] = _DASHES[nth // len(_SYMBOLS) % len(_DASHES)]
    if one.kind == "steps":
        line["shape"] = "hv"
    edge = {"color": colour if "open" in symbol else PAPER, "width": 1.5 if "open" in symbol else 1}
    marker = {"color": colour, "symbol": symbol, "size": size, "opacity": opacity, "line": edge}
    return {"type": "scatter", "mode": mode, "line": line, "marker": marker}


def _said(chart: Chart, one: Series) -> dict[str, Any]:
    if one.hover is not None:
        texts = [_headed(text) for text in one.hover]
        return {"hovertext": texts, "hovertemplate": "%{hovertext}<extra></extra>"}
    name = f"{_shown(one.name)}<br>" if one.name else ""
    x = "%{x}" if one.x and isinstance(one.x[0], str) else f"{_shown(chart.x)} %{{x:,.4~g}}"
    return {"hovertemplate": f"{name}{x}<br>{_shown(chart.y)} %{{y:,.4~g}}<extra></extra>"}


def _layout(chart: Chart) -> dict[str, Any]:
    return {
        "autosize": True,
        "font": {"family": _FONT, "size": 13, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
        "xaxis": {**_axis(chart.x), **_scale(chart)},
        "yaxis": {**_axis(chart.y), **_from_zero(chart)},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        "hoverlabel": {
            "bgcolor": PAPER,
            "bordercolor": SOFT,
            "align": "left",
            "font": {"color": INK, "family": _FONT, "size": 13},
        },
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": SOFT, "activecolor": INK},
        "hovermode": "closest",
        "barmode": "group",
        "bargap": 0.3,
        "shapes": [_horizontal(name, height, n) for n, (name, height) in _numbered(chart)],
    }


def _numbered(chart: Chart) -> Sequence[tuple[int, tuple[str, float]]]:
    return list(enumerate(chart.lines.items()))


def _horizontal(name: str, height: float, nth: int) -> dict[str, Any]:
    dash = ("dot", "dash", "dashdot")[nth % 3]
    return {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": height,
        "y1": height,
        "name": _shown(name),
        "showlegend": True,
        "layer": "below",
        "line": {"color": line_colour(name), "width": 1.5, "dash": dash},
    }


def _axis(title: str) -> dict[str, Any]:
    # Plotly does not break a title that is too long for a phone; lines of it are about as long.
    count = math.ceil(len(title) / 42)
    lines = textwrap.wrap(_shown(title), len(title) // max(1, count) + 6)
    return {
        "title": {"text": "<br>".join(lines), "standoff": 10, "font": {"size": 13}},
        "automargin": True,
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": GRID,
        "tickcolor": GRID,
        "tickfont": {"color": SOFT, "size": 12},
    }


def _scale(chart: Chart) -> dict[str, Any]:
    # A word such as "2" would else be read as a number, and a name as a date.
    if categories(chart):
        return {"type": "category"}
    if chart.log_x:
        return {"type": "log", "dtick": "D2", "tickformat": ",~g"}
    whole = counts(chart)
    few = bool(whole) and max(whole) - min(whole) < 15
    return {"type": "linear", **({"dtick": 1} if few else {})}


def _from_zero(chart: Chart) -> dict[str, Any]:
    bars = any(one.kind == "bars" for one in chart.series)
    return {"rangemode": "tozero"} if bars else {}


def _headed(text: str) -> str:
    """The first line of several stands out."""
    first, *rest = _shown(text).split("\n")
    return "<br>".join([f"<b>{first}</b>", *rest]) if rest else first


def _shown(text: str) -> str:
    return html.escape(text, quote=False)
