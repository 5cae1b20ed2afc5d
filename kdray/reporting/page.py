"""The files of a report: figures drawn for the browser and for paper, put into the templates."""

import base64
import gzip
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from kdray.reporting.charts.base import Read
from kdray.reporting.charts.colours import DARK
from kdray.reporting.charts.front import front_chart
from kdray.reporting.charts.html import plotly_figure
from kdray.reporting.charts.png import png
from kdray.reporting.charts.table import charts_of
from kdray.reporting.front_tables import front_tables
from kdray.reporting.rendering import render
from kdray.results.folder import write_text, written_whole


def write_pages(root: Path, context: Mapping[str, Any], sweeps: Sequence[Read]) -> list[Path]:
    """Writes `report.html`, `report.md` and `figures/NAME.png` into a folder.

    The HTML is one file that opens offline: figures, style and scripts are inside it.

    Args:
        root: The folder.
        context: What the report says.
        sweeps: What it is about.

    Returns:
        The three of them.
    """
    front, sections = front_chart(sweeps), charts_of(sweeps)
    seen = [chart for found in sections.values() for chart in found if chart.series]
    charts = [front, *seen]
    stills = {chart.name: png(chart) for chart in charts}
    with written_whole(root / "figures") as staging:
        for name, still in stills.items():
            (staging / f"{name}.png").write_bytes(still)
    tables = front_tables(context["front"])
    told = {**context, "tables": tables, "chart": front, "sections": sections}
    write_text(root / "report.md", render("report.md.jinja", told))
    inside = {name: base64.b64encode(still).decode() for name, still in stills.items()}
    page = {
        "figures": {chart.name: plotly_figure(chart) for chart in charts},
        "dark": DARK,
        "picker": context["picker"],
    }
    html = {**told, "stills": inside, "page": page, "plotly": packed_plotly()}
    write_text(root / "report.html", render("report.html.jinja", html))
    return [root / "report.html", root / "report.md", root / "figures"]


@cache
def packed_plotly() -> str:
    """Returns plotly.js, compressed and as text: 2 MB instead of 5."""
    from plotly.offline import get_plotlyjs

    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode()
