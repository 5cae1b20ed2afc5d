"""The colours of figures: one a role, the same in all figures, with a twin for dark pages.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; the shapes differ as well.
https://jfly.uni-koeln.de/color/
"""

from collections.abc import Mapping, Sequence

from kdray.reporting.charts.base import Chart, Series

INK, SOFT, GRID, PAPER = "#1c2430", "#5b6675", "#e3e8ee", "#fffffe"
FRONT, TEACHER, OTHER, BASELINE = "#0072b2", "#d55e00", "#8c8c8c", "#b8578f"
_ROLES = {
    "front": FRONT,
    "ring": FRONT,
    "teacher": TEACHER,
    "baseline": BASELINE,
    **dict.fromkeys(("other", "stopped", "infeasible"), OTHER),
}
_NTH = ("#009e73", "#d99000", "#3a9fd6", "#7a5ba6", "#7d6226", "#2f4b7c", "#a33d3d")
# What each becomes on a dark page. No two of the keys are equal, so a figure can be recoloured.
DARK: Mapping[str, str] = {
    INK: "#e6eaf0",
    SOFT: "#9aa7b6",
    GRID: "#29323e",
    PAPER: "#12161c",
    FRONT: "#5bb4e8",
    TEACHER: "#ff9457",
    OTHER: "#8793a1",
    BASELINE: "#e79bc6",
    **dict(
        zip(
            _NTH,
            ("#3ccb9f", "#f2b84b", "#8fd0ff", "#b79ae8", "#c9a86a", "#9fb3d9", "#f08d8d"),
            strict=True,
        )
    ),
}


def colours(chart: Chart) -> list[str]:
    """Returns the colour of each series of a figure, on white.

    Series without a role of their own take the next colour each; the first of them is the front's
    where there is no front to be told from. A sweep among several has one colour in all figures.
    """
    told = any(one.role in ("front", "sweep") for one in chart.series)
    wheel: Sequence[str] = _NTH if told else (FRONT, *_NTH)
    places = nth_places(chart)
    return [
        _ROLES.get(one.role, wheel[place % len(wheel)])
        for one, place in zip(chart.series, places, strict=True)
    ]


def nth_places(chart: Chart) -> list[int]:
    """Returns the place of each series among those without a role of their own, from 0."""
    found, seen = [], 0
    for one in chart.series:
        found.append(seen)
        seen += is_nth(one)
    return found


def is_nth(one: Series) -> bool:
    """Tells whether a series is told from others by the place that it has among them."""
    return one.role in ("nth", "sweep")


def is_front(one: Series) -> bool:
    """Tells whether a series is the front, of one sweep or of several."""
    return one.role in ("front", "ring")


def line_colour(name: str) -> str:
    """Returns the colour of a horizontal line: the teacher's, a baseline's, or that of rest."""
    if "teacher" in name:
        return TEACHER
    return BASELINE if "baseline" in name or "labels only" in name else SOFT


def has_marks(one: Series) -> bool:
    """Tells whether each value of a series has a mark: points do, and lines that are the front."""
    return one.kind == "points" or (one.kind in ("line", "steps") and is_front(one))
