"""`kdray report`."""

from typing import Any

from rich.console import Console

from kdray.commands.fronts import show_front
from kdray.locations import sweep_folder
from kdray.reporting.reading import read_summary, read_trials
from kdray.results.folder import SweepFolder


def remake_report(folder: str) -> None:
    """Writes tables and report of a sweep again, from its trial folders, and prints its front."""
    target = sweep_folder(folder)
    write_again(target)
    show_front(target, Console())


def write_again(target: SweepFolder) -> None:
    """Writes tables and report of a sweep again, from its trial folders."""
    from kdray.reporting.report import write_report
    from kdray.reporting.summary import write_tables

    busy = sum(result.duration_s for result in target.results())
    before: dict[str, Any] = {}
    runs: dict[str, str] = {}
    if target.summary_json.exists():
        before, rows = read_summary(target), read_trials(target)
        ids = rows["mlflow_run_id"].fillna("")
        runs = {trial: run for trial, run in zip(rows["trial_id"], ids, strict=True) if run}
    seconds, complete = before.get("duration_s", busy), before.get("complete")
    write_tables(target, duration_s=seconds, busy_s=busy, run_ids=runs, complete=complete)
    write_report(target)
    target.share(target.root)
