"""`kdray confirm`."""

import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table

from kdray.commands.recording import record_again
from kdray.commands.reports import write_again
from kdray.commands.speaking import print_json, print_table, progress_console
from kdray.errors import ConfigError, Problem, StoppedError
from kdray.locations import past_config, sweep_folder
from kdray.reporting.confirmation import (
    Interval,
    Judged,
    interval_of,
    verdict,
    write_confirmation,
)
from kdray.reporting.formats import MISSING, is_missing, measured, short
from kdray.reporting.headline import quality_metric
from kdray.reporting.objectives import objective
from kdray.reporting.reading import read_verification
from kdray.reporting.summary import front_ids
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig

LEAST = 2
NOTE = (
    "Means and their 95 % intervals are over the other seeds alone: the value in the sweep was "
    "picked for being high."
)


def confirm_front(
    folder: str, seeds: int, address: str | None, quiet: bool = False, as_json: bool = False
) -> None:
    """Trains each student of a front with other seeds, as far as it was not done yet, or failed.

    Args:
        folder: The sweep's folder, or its URI.
        seeds: How many other seeds.
        address: A Ray cluster's address.
        quiet: Whether progress is not shown.
        as_json: Whether the answer is one JSON document.

    Raises:
        ConfigError: If there is no front or no teacher, or seeds are too few for an interval.
        StoppedError: If it was stopped; what is done is kept.
    """
    target = sweep_folder(folder, writable=True)
    config = past_config(target)
    front = front_ids(target.results(), config.objectives, config.constraints)
    _check(target, front, seeds)
    complete = _run(config, target, seeds, address, progress_console(quiet, as_json))
    trials = write_confirmation(target, front)["trials"]
    write_again(target)
    record_again(target)
    answer = _answer(config, target, front, trials)
    if as_json:
        print_json(answer)
    else:
        _show(answer, Console())
    if not complete:
        again = f"kdray confirm {shlex.quote(target.address)} --seeds {seeds}"
        raise StoppedError(f"stopped before the end; go on with `{again}`")


def _check(target: SweepFolder, front: Sequence[str], seeds: int) -> None:
    problems = []
    if seeds < LEAST:
        message = f"must be {LEAST} or more, as an interval needs two values, but got {seeds}"
        problems.append(Problem("--seeds", message))
    if not front:
        message = "has no front to confirm: no trial completed and kept to the constraints"
        problems.append(Problem(target.address, message))
    if not target.verification_json.exists():
        message = "has no teacher, which the students learn from; confirm where the sweep was run"
        problems.append(Problem(target.address, message))
    if problems:
        raise ConfigError(problems)


def _run(
    config: SweepConfig, target: SweepFolder, seeds: int, address: str | None, console: Console
) -> bool:
    from kdray.sweep.joining import make_ready

    make_ready(address)
    from kdray.sweep.confirming import missing_runs, run_missing

    missing = missing_runs(config, target, seeds)
    if not missing:
        return True
    count = f"{len(missing)} run{'s' * (len(missing) != 1)}"
    console.print(f"confirmations: {count} with other seeds", highlight=False)
    return run_missing(config, target, missing, address, console)


def _answer(
    config: SweepConfig,
    target: SweepFolder,
    front: Sequence[str],
    trials: Mapping[str, Sequence[Mapping[str, Any]]],
) -> dict[str, Any]:
    """Returns what is known of the front by now."""
    metric = quality_metric(config.objectives, read_verification(target)["metrics"])
    results = {result.trial_id: result for result in target.results()}
    rows = [
        {
            "trial_id": trial_id,
            "sweep": results[trial_id].metrics.get(metric),
            "validation": vars(interval_of(trials[trial_id], metric)),
            "test": vars(interval_of(trials[trial_id], f"test_{metric}")),
            "size_mb": results[trial_id].metrics.get("size_mb"),
            "failed": [run for run in trials[trial_id] if "error" in run],
        }
        for trial_id in front
    ]
    judged = Judged([results[i] for i in front], config.objectives, config.constraints, metric)
    found = verdict(judged, trials) if all(trials.values()) else None
    said = None if found is None else {**vars(found), "keeps_place": found.keeps_place}
    return {"sweep": target.name, "metric": metric, "trials": rows, "verdict": said}


def _show(answer: Mapping[str, Any], console: Console) -> None:
    say = partial(console.print, highlight=False, soft_wrap=True, markup=False)
    print_table(_table(answer), console)
    for row in answer["trials"]:
        for run in row["failed"]:
            say(f"{row['trial_id']} failed with seed {run['seed']}: {run['error']}")
    say(NOTE)
    if answer["verdict"]:
        say(answer["verdict"]["said"], style="bold")


def _table(answer: Mapping[str, Any]) -> Table:
    metric = answer["metric"]
    label = objective(metric).label
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("trial", f"{label} in the sweep", "with other seeds", "on test", "MB", "runs"):
        table.add_column(title, justify="left" if title == "trial" else "right", no_wrap=True)
    for row in answer["trials"]:
        found = [_shown(metric, Interval(**row[split])) for split in ("validation", "test")]
        before, runs = measured(metric, row["sweep"]), str(row["validation"]["runs"])
        table.add_row(row["trial_id"], before, *found, short(row["size_mb"]), runs)
    return table


def _shown(metric: str, found: Interval) -> str:
    if is_missing(found.mean):
        return MISSING
    return f"{measured(metric, found.mean)} ± {measured(metric, found.half_width)}"
