"""A sweep's front and a student's metrics, as they are printed."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from kdray.commands.speaking import print_table
from kdray.reporting.reading import read_summary, read_trials
from kdray.results.folder import SweepFolder

FRONT_COLUMNS = {
    "trial": "trial",
    "macro-F1, test": "macro-F1",
    "accuracy, test": "accuracy",
    "size (MB)": "MB",
    "retention": "retention",
    "speed-up": "speed-up",
    "layers": "layers",
    "pruning": "pruning",
    "distillation": "distillation",
    "regime": "regime",
}


def show_front(folder: SweepFolder, console: Console) -> None:
    """Prints the headline and the front of a sweep; the report has more columns."""
    from kdray.reporting.report import report_context

    show_table(report_context(folder), console)
    console.print(f"report: {folder.root / 'report.html'}", soft_wrap=True, highlight=False)


def show_table(context: Mapping[str, Any], console: Console) -> None:
    """Prints the headline and the front of a report.

    Args:
        context: What the report says.
        console: Where it is printed.
    """
    console.print(context["headline"], style="bold", highlight=False)
    shown = [i for i, c in enumerate(context["front"]["columns"]) if c["name"] in FRONT_COLUMNS]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index in shown:
        column = context["front"]["columns"][index]
        justify: Any = "right" if column["numeric"] else "left"
        table.add_column(FRONT_COLUMNS[column["name"]], justify=justify, no_wrap=True)
    for row in context["front"]["rows"]:
        table.add_row(*[row["cells"][index] for index in shown])
    print_table(table, console)


def front_document(folder: SweepFolder) -> dict[str, Any]:
    """Returns what a sweep has found, ready for JSON.

    Returns:
        What `summary.json` holds, with `folder`, `headline` and, in `front`, the row of
        `trials.csv` of each trial, without empty cells.
    """
    from kdray.reporting.report import report_context

    summary = read_summary(folder)
    rows = read_trials(folder).set_index("trial_id", drop=False).loc[summary["front"]]
    front = [row.dropna().to_dict() for _, row in rows.iterrows()]
    headline = report_context(folder)["headline"]
    return {**summary, "folder": folder.address, "headline": headline, "front": front}


def print_metrics(metrics: Mapping[str, float], console: Console) -> None:
    """Prints metrics, one a line."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in metrics.items():
        table.add_row(name, f"{value:.4g}" if abs(value) < 1e5 else f"{value:,.0f}")
    console.print(table)
