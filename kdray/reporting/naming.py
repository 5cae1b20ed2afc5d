"""Writes names beside the points of a figure, where neither marks nor lines are in the way."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cbook import STEP_LOOKUP_MAP
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.transforms import Bbox

# Where a name may stand, in points from its mark: the first free place is taken.
_PLACES = (
    (0, 8, "center"),
    (0, -15, "center"),
    (8, -3.5, "left"),
    (-8, -3.5, "right"),
    (5, 5, "left"),
    (-5, 5, "right"),
    (5, -12, "left"),
    (-5, -12, "right"),
    (9, 13, "left"),
    (-9, 13, "right"),
)


def name_points(
    figure: Figure,
    axes: Axes,
    names: Sequence[str],
    places: Sequence[tuple[float, float]],
    colour: str,
) -> None:
    """Writes names beside their points; one that has no free place is left out.

    Args:
        figure: The figure, with all that is drawn in it.
        axes: Where the points are.
        names: What is written.
        places: The points.
        colour: Of the names.
    """
    figure.draw_without_rendering()
    taken, lines = _marks(figure, axes), _lines(axes)
    for name, place in zip(names, places, strict=True):
        box = _name_point(axes, (name, colour), place, (taken, lines))
        taken += [box] if box else []


def _name_point(
    axes: Axes,
    name: tuple[str, str],
    at: tuple[float, float],
    obstacles: tuple[Sequence[Bbox], Sequence[Path]],
) -> Bbox | None:
    """Writes a name where it is free, and returns the place that it takes."""
    taken, lines = obstacles
    text, colour = name
    for across, up, align in _PLACES:
        shown = axes.annotate(
            text, at, (across, up), textcoords="offset points", ha=align, fontsize=9, color=colour
        )
        box = shown.get_window_extent()
        if _is_inside(box, axes.bbox) and not _is_in_the_way(box, taken, lines):
            return box
        shown.remove()
    return None


def _is_inside(box: Bbox, whole: Bbox) -> bool:
    return bool(whole.contains(box.x0, box.y0) and whole.contains(box.x1, box.y1))


def _is_in_the_way(box: Bbox, taken: Sequence[Bbox], lines: Sequence[Path]) -> bool:
    return any(box.overlaps(other) for other in taken) or any(
        line.intersects_bbox(box, filled=False) for line in lines
    )


def _marks(figure: Figure, axes: Axes) -> list[Bbox]:
    """The boxes of all marks, in pixels."""
    pixel = figure.dpi / 72
    boxes = []
    for line in axes.lines:
        if str(line.get_marker()) not in ("None", "none", "", " "):
            at = line.get_transform().transform(np.asarray(line.get_xydata(), dtype=float))
            boxes += _boxes(at, line.get_markersize() * pixel)
    for points in axes.collections:
        if isinstance(points, PathCollection):
            at = points.get_offset_transform().transform(np.asarray(points.get_offsets()))
            boxes += _boxes(at, float(np.sqrt(points.get_sizes().max())) * pixel)
    return boxes


def _boxes(places: np.ndarray, wide: float) -> list[Bbox]:
    known = places[np.isfinite(places).all(1)]
    return [Bbox.from_bounds(x - wide / 2, y - wide / 2, wide, wide) for x, y in known]


def _lines(axes: Axes) -> list[Path]:
    """All lines and intervals, in pixels."""
    drawn = [
        line.get_transform().transform_path(_path(line))
        for line in axes.lines
        if str(line.get_linestyle()) != "None" and len(np.asarray(line.get_xdata()))
    ]
    for lines in axes.collections:
        if isinstance(lines, LineCollection):
            drawn += [lines.get_transform().transform_path(path) for path in lines.get_paths()]
    return drawn


def _path(line: Line2D) -> Path:
    steps = STEP_LOOKUP_MAP[line.get_drawstyle()]
    return Path(np.column_stack(steps(*np.asarray(line.get_xydata(), dtype=float).T)))
