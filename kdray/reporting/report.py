"""The report of a sweep: `pareto.png`, `report.md` and `report.html`, made from its files.

The HTML is one file that opens offline: the figure is inside it, and nothing is loaded.

    kdray report runs/NAME
"""

import base64
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from kdray.reporting.context import Findings, build_context
from kdray.reporting.figures import pareto_figure, without_axis
from kdray.reporting.importance import write_importance
from kdray.reporting.mistakes import read_errors, write_errors
from kdray.reporting.reading import read_summary, read_sweep, read_trials, read_verification
from kdray.reporting.stored import WEIGHTS, stored_as
from kdray.results.folder import SweepFolder, write_file, write_text

_TEMPLATES = Path(__file__).parent / "templates"


def write_report(folder: SweepFolder) -> None:
    """Writes `errors.json`, `importance.json`, `pareto.png`, `report.md` and `report.html`.

    Args:
        folder: The sweep's folder, with `trials.csv`, `summary.json` and `sweep.yaml`.

    Raises:
        ConfigError: One of these files is not there.
    """
    sweep, summary, trials = read_sweep(folder), read_summary(folder), read_trials(folder)
    write_errors(folder, summary["front"])
    write_importance(folder)
    objectives = sweep["config"]["objectives"]
    stored = [stored_as(row, sweep["config"]) for row in trials.to_dict("records")]
    figure = pareto_figure(trials.assign(**{WEIGHTS: stored}), summary, objectives)
    write_file(folder.root / "pareto.png", figure.savefig)
    context = report_context(folder)
    context["without_axis"] = ", ".join(without_axis(objectives))
    context["figure"] = base64.b64encode((folder.root / "pareto.png").read_bytes()).decode()
    write_text(folder.root / "report.html", render("report.html.jinja", context))
    write_text(folder.root / "report.md", render("report.md.jinja", context))


def report_context(folder: SweepFolder) -> dict[str, Any]:
    """Returns what the report says, as plain text and rows.

    Raises:
        ConfigError: A file of the sweep is not there.
    """
    rows = [
        {str(key): cell for key, cell in row.items()}
        for row in read_trials(folder).to_dict("records")
    ]
    found = Findings(_problems(folder), read_errors(folder))
    return build_context(rows, read_summary(folder), read_sweep(folder), found)


def render(template: str, context: dict[str, Any]) -> str:
    """Returns a template filled in; in HTML everything is escaped, in Markdown what asks for it."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=".html" in template,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = escape_markdown
    environment.filters["fenced"] = fence
    return environment.get_template(template).render(context)


def escape_markdown(value: Any) -> str:
    """Returns text that Markdown shows as it is, in a table cell too: one line, no markup."""
    line = " ".join(str(value).split())
    return re.sub(r"([\\`*|\[\]])", r"\\\1", line).replace("&", "&amp;").replace("<", "&lt;")


def fence(text: str, language: str = "") -> str:
    """Returns a Markdown code block, with a fence longer than any inside the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"


def _problems(folder: SweepFolder) -> list[str]:
    # A published report has the tables but not always the teacher.
    if not folder.verification_json.exists():
        return []
    return [str(problem) for problem in read_verification(folder).get("problems", [])]
