from dataclasses import replace
from typing import Any

from kdray.reporting.charts.base import Read
from kdray.reporting.report import read
from kdray.reporting.summary import write_tables
from kdray.results.folder import SweepFolder
from kdray.results.records import TrialResult

from ..conftest import completed


def trial(number: int, quality: float, **parameters: Any) -> TrialResult:
    """A completed trial; in its parameters' names `__` stands for the dot."""
    drawn = {name.replace("__", "."): value for name, value in parameters.items()}
    size = 1.0 + number / 10
    return replace(completed(f"{number:04d}", quality, size), parameters=drawn)


def tabled(folder: SweepFolder) -> Read:
    """Writes the tables of a sweep, as at its end, and returns what is read to draw it."""
    write_tables(folder, duration_s=1, busy_s=1)
    return read(folder)
