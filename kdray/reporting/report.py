"""The report of a sweep: `report.html`, `report.md` and their figures, made from its files.

kdray report runs/NAME
kdray report runs/NAME runs/OTHER
"""

import shutil
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from kdray.reporting.charts.base import Read
from kdray.reporting.charts.png import small_png
from kdray.reporting.context import Findings, build_context
from kdray.reporting.figures import pareto_figure
from kdray.reporting.importance import write_importance
from kdray.reporting.joint import build_joint_context
from kdray.reporting.mistakes import read_errors, write_errors
from kdray.reporting.page import packed_plotly, write_pages
from kdray.reporting.reading import read_summary, read_sweep, read_trials, read_verification
from kdray.reporting.stored import WEIGHTS, stored_as
from kdray.reporting.students import check_objectives, read
from kdray.results.folder import SweepFolder, write_file


def get_ready() -> None:
    """Imports and compresses what a report needs, should there be time for it before."""
    for name in ("scipy.special", "plotly.graph_objs"):
        import_module(name)
    packed_plotly()


def write_report(folder: SweepFolder, output: Path | None = None) -> list[Path]:
    """Writes `errors.json` and `importance.json` into the sweep's folder, and its report.

    Args:
        folder: The sweep's folder, with `trials.csv`, `summary.json` and `sweep.yaml`.
        output: Where `pareto.png`, `report.md`, `report.html` and `figures/` go, and a copy of
            `trials.csv` and `errors.json`, to be published; the sweep's own folder without it.

    Returns:
        The files of the report.

    Raises:
        ConfigError: One of these files is not there.
    """
    write_errors(folder, read_summary(folder)["front"])
    write_importance(folder)
    sweep, root = read(folder), output or folder.root
    figure = root / "pareto.png"
    drawn = small_png(_pareto(sweep))
    write_file(figure, lambda path: path.write_bytes(drawn))
    if root != folder.root:
        _publish(root, folder.trials_csv, folder.errors_json)
    return [*write_pages(root, report_context(folder), [sweep]), figure]


def write_joint_report(folders: Sequence[SweepFolder], output: Path) -> list[Path]:
    """Writes the report of several sweeps on one front, and returns its files.

    Args:
        folders: The sweeps' folders.
        output: Where `report.md`, `report.html` and `figures/` go.

    Raises:
        ConfigError: Objectives differ, or a file is not there.
    """
    sweeps = [read(folder) for folder in folders]
    return write_pages(output, joint_context(folders), sweeps)


def report_context(folder: SweepFolder) -> dict[str, Any]:
    """Returns what the report of a sweep says, as plain text and rows.

    Raises:
        ConfigError: A file of the sweep is not there.
    """
    return build_context(read(folder), _findings(folder))


def joint_context(folders: Sequence[SweepFolder]) -> dict[str, Any]:
    """Returns what the report of several sweeps says, as plain text and rows.

    Raises:
        ConfigError: Objectives differ, or a file is not there.
    """
    sweeps = [read(folder) for folder in folders]
    check_objectives(sweeps)
    return build_joint_context(sweeps, [_findings(folder) for folder in folders])


def _publish(root: Path, *files: Path) -> None:
    """Copies what there is; no text is in it that a report may not show."""
    for file in files:
        if file.is_file():
            write_file(root / file.name, partial(shutil.copyfile, file))


def _pareto(sweep: Read) -> Any:
    trials = read_trials(sweep.folder)
    stored = [stored_as(row, sweep.config) for row in sweep.rows]
    objectives = sweep.config["objectives"]
    return pareto_figure(trials.assign(**{WEIGHTS: stored}), sweep.summary, objectives)


def _findings(folder: SweepFolder) -> Findings:
    # A published report has the tables but not always the teacher.
    known = read_verification(folder) if folder.verification_json.exists() else {}
    problems = [str(problem) for problem in known.get("problems", [])]
    return Findings(read_sweep(folder), problems, read_errors(folder))
