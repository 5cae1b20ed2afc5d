"""`kdray report`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kdray.commands.fronts import front_document, show_table
from kdray.commands.recording import record_again
from kdray.commands.speaking import print_json, progress_console
from kdray.errors import ConfigError, Problem
from kdray.locations import published, sweep_folder
from kdray.reporting.reading import read_summary, read_trials
from kdray.results.folder import SweepFolder
from kdray.results.writable import folder_problems


def remake_report(folders: Sequence[str], output: str | None, as_json: bool) -> None:
    """Writes tables and report of a sweep again, or the report of several on one front.

    Args:
        folders: The sweeps' folders, or their URIs.
        output: A folder of this machine; without it the report is in that of the first sweep.
        as_json: Whether the answer is one JSON document.

    Raises:
        ConfigError: Sweeps cannot be on one front, or a file is not there.
    """
    _check(folders, output)
    found = [sweep_folder(folder) for folder in folders]
    targets = found if output is None else [published(target) for target in found]
    place = None if output is None else Path(output).resolve()
    told, files = _one(targets[0], place) if len(targets) == 1 else _several(targets, place)
    if len(targets) == 1 and place is None:
        record_again(targets[0])
    if as_json:
        print_json(_data(targets, told, files))
        return
    console = progress_console()
    show_table(told, console)
    console.print(f"report: {files[0]}", soft_wrap=True, highlight=False)


def write_again(target: SweepFolder, output: Path | None = None) -> list[Path]:
    """Writes tables and report of a sweep again, from its trials' folders.

    Args:
        target: The sweep's folder.
        output: Where the report goes; into the sweep's own folder without it.

    Returns:
        The files of the report.
    """
    from kdray.reporting.report import write_report
    from kdray.reporting.summary import Ended, write_tables

    busy = sum(result.duration_s for result in target.results())
    before: dict[str, Any] = {}
    runs: dict[str, str] = {}
    if target.summary_json.exists():
        before, rows = read_summary(target), read_trials(target)
        ids = rows["mlflow_run_id"].fillna("")
        runs = {trial: run for trial, run in zip(rows["trial_id"], ids, strict=True) if run}
    seconds = before.get("duration_s", busy)
    ended: Any = {name: before[name] for name in Ended.__annotations__ if name in before}
    write_tables(target, duration_s=seconds, busy_s=busy, run_ids=runs, ended=ended)
    files = write_report(target, output)
    target.share(target.root)
    return files


def _check(folders: Sequence[str], output: str | None) -> None:
    plain = [folder.rstrip("/") for folder in folders]
    twice = sorted({folder for folder in plain if plain.count(folder) > 1})
    problems = [Problem(folder, "is named twice; name each sweep once") for folder in twice]
    if output is not None and "://" in output:
        problems.append(Problem("--output", "is a URI; give a folder of this machine"))
    if output is not None and Path(output).is_file():
        problems.append(Problem("--output", f"{output} is a file; give a folder"))
    elif output is not None and "://" not in output:
        problems += folder_problems("--output", Path(output))
    if problems:
        raise ConfigError(problems)


def _one(target: SweepFolder, output: Path | None) -> tuple[dict[str, Any], list[Path]]:
    from kdray.reporting.report import report_context

    files = write_again(target, output)
    return report_context(target), files


def _several(
    targets: Sequence[SweepFolder], output: Path | None
) -> tuple[dict[str, Any], list[Path]]:
    from kdray.reporting.report import joint_context, write_joint_report

    first = targets[0]
    context = joint_context(targets)
    files = write_joint_report(targets, output or first.root / _together(targets))
    if output is None:
        first.share(first.root)
    return context, files


def _together(targets: Sequence[SweepFolder]) -> str:
    """The folder of a joint report, in that of the first sweep, beside its own report."""
    others = [target.name for target in targets[1:]]
    named, rest = others[:2], len(others[2:])
    return "-and-".join(
        [f"report-with-{named[0]}", *named[1:], *([f"{rest}-more"] if rest else [])]
    )


def _data(
    targets: Sequence[SweepFolder], told: dict[str, Any], files: Sequence[Path]
) -> dict[str, Any]:
    """Returns what `kdray sweep --json` tells, of each sweep, and what the report adds to it."""
    documents = [front_document(target) for target in targets]
    added = {name: told[name] for name in ("name", "headline", "picked", "take", "confidence")}
    more = {**added, "files": [str(file) for file in files]}
    if len(targets) == 1:
        return {**documents[0], **more}
    return {**more, "front": _joint_front(targets), "sweeps": documents}


def _joint_front(targets: Sequence[SweepFolder]) -> list[dict[str, Any]]:
    """The row of each student, with what the report calls it in `trial`."""
    from kdray.reporting.formats import is_missing
    from kdray.reporting.students import front_of, read

    return [
        {"trial": it.id, **{name: cell for name, cell in it.row.items() if not is_missing(cell)}}
        for it in front_of([read(target) for target in targets])
    ]
