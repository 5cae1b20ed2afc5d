"""`kdray list`: the sweeps of a folder, and what of them could be cleared away."""

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console, JustifyMethod
from rich.table import Table

from kdray.commands.overview import Overview, overview
from kdray.commands.speaking import full_width, print_json
from kdray.errors import ConfigError, Problem
from kdray.reporting.formats import MISSING, measured, short
from kdray.results.folder import SweepFolder
from kdray.sweep.lock import held

COLUMNS = ("sweep", "state", "trials", "front", "headline", "MB", "--clean frees", "last at work")
# What is left of the table on a narrow terminal, and how far the first of them are folded.
ALWAYS, FOLDED = 5, {"sweep": 12, "state": 7, "trials": 10}
LEAST_WIDTH = 120


def list_sweeps(runs: str, clean: bool = False, as_json: bool = False) -> None:
    """Prints the sweeps of a folder, and clears away what none of those done needs.

    Args:
        runs: The folder of sweeps, or that of one.
        clean: Whether it is cleared away; without it, only what it takes is told.
        as_json: Whether the answer is one JSON document.

    Raises:
        ConfigError: If there is no such folder on this machine.
    """
    found = [(folder, overview(folder)) for folder in _sweeps(runs)]
    removed = {one.name: _clean(folder, one) for folder, one in found if one.spare and clean}
    shown = [one for _, one in found]
    if as_json:
        print_json([_plain(one, removed.get(one.name, [])) for one in shown])
    else:
        _show(shown, runs, removed if clean else None, _console())


def _console() -> Console:
    """A pipe or a file has no width of its own, and is wide enough for most names."""
    console = Console(markup=False)
    if not console.is_terminal:
        console.width = max(console.width, LEAST_WIDTH)
    return console


def _sweeps(runs: str) -> Iterator[SweepFolder]:
    where = Path(runs)
    if "://" in runs:
        message = f"lists folders of this machine, not {runs}; use the object store's own tools"
        raise ConfigError([Problem("RUNS", message)])
    if not where.is_dir():
        message = f"no such folder: {runs}; name the folder of sweeps (`kdray sweep --output`)"
        raise ConfigError([Problem("RUNS", message)])
    for root in [where, *sorted(where.iterdir())]:
        if (root / "sweep.yaml").is_file() and not root.name.startswith("."):
            yield SweepFolder(root.resolve())


def _clean(folder: SweepFolder, one: Overview) -> list[Path]:
    """Removes what is spare, and returns what is gone; nothing if a process is at the sweep now."""
    lock: AbstractContextManager[None] = nullcontext()
    if folder.optuna_log.exists():
        lock = held(folder.optuna_log)
    try:
        with lock:
            for path in one.spare:
                _remove(folder, path)
    except ConfigError:
        return []
    return [path for path in one.spare if not path.exists()]


def _remove(folder: SweepFolder, path: Path) -> None:
    if path.is_dir():
        folder.remove(path)
    else:
        path.unlink(missing_ok=True)


def _plain(one: Overview, removed: Sequence[Path]) -> dict[str, Any]:
    return {
        **vars(one),
        "changed": _clock(one.changed),
        "spare": [str(path) for path in one.spare],
        "removed": [str(path) for path in removed],
    }


def _show(
    found: Sequence[Overview], runs: str, removed: dict[str, list[Path]] | None, console: Console
) -> None:
    if found:
        console.print(_fitting(found, console))
    for line in _lines(found, runs, removed) if found else [f"no sweeps in {runs}"]:
        console.print(line, highlight=False, soft_wrap=True)


def _fitting(found: Sequence[Overview], console: Console) -> Table:
    """Returns the table without the last columns that it has no room for."""
    for count in range(len(COLUMNS), ALWAYS, -1):
        table = _table(found, count)
        if full_width(table, console) <= console.width:
            return table
    return _table(found, ALWAYS)


def _table(found: Sequence[Overview], count: int) -> Table:
    """Returns the first columns of the table."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in COLUMNS[:count]:
        numeric, least = title in ("front", "MB", "--clean frees"), FOLDED.get(title)
        side: JustifyMethod = "right" if numeric else "left"
        table.add_column(
            title, justify=side, no_wrap=least is None, overflow="fold", min_width=least
        )
    for one in found:
        sizes = f"{one.disk_mb:.1f}", f"{one.spare_mb:.1f}" if one.spare else MISSING
        front = str(len(one.front))
        row = one.name, one.state, _trials(one), front, _best(one), *sizes, _clock(one.changed)
        table.add_row(*row[:count])
    return table


def _trials(one: Overview) -> str:
    told = f"{sum(one.trials.values())} of {one.planned}"
    others = [(name, count) for name, count in one.trials.items() if name != "completed" and count]
    return ", ".join([told, *(f"{count} {name.replace('_', ' ')}" for name, count in others)])


def _best(one: Overview) -> str:
    if one.best is None:
        return MISSING
    quality = measured(one.best["metric"], one.best["quality"])
    return f"{quality} at {short(one.best['size_mb'])} MB ({one.best['trial_id']})"


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _lines(
    found: Sequence[Overview], runs: str, removed: dict[str, list[Path]] | None
) -> Iterator[str]:
    """Yields what is to be said below the table."""
    yield from (f"{one.name}: {note}" for one in found for note in one.notes)
    if any(one.state == "stopped" for one in found):
        yield "stopped: `kdray resume` goes on; --clean leaves it as it is"
    if removed is None:
        spare = sum(one.spare_mb for one in found)
        if spare:
            yield f"`kdray list {runs} --clean` frees {spare:.1f} MB that no front needs"
        return
    yield from (_cleaned(one, removed.get(one.name, [])) for one in found)


def _cleaned(one: Overview, removed: Sequence[Path]) -> str:
    if not one.spare:
        return f"{one.name}: nothing to remove" + (f", it is {one.state}" * (one.state != "done"))
    if left := [path for path in one.spare if path not in removed]:
        reason = "another process is at the sweep, or has it open"
        return f"{one.name}: could not remove {_names(left)}: {reason}"
    return f"{one.name}: removed {_names(removed)} ({one.spare_mb:.1f} MB)"


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(f"{path.parent.name}/{path.name}" for path in paths)
