"""Reads the files of a sweep back; a file that is not there is answered by its name."""

import io
import json
from typing import TYPE_CHECKING, Any

from kdray.errors import ConfigError, Problem
from kdray.results.folder import SweepFolder
from kdray.results.sweep_file import read_sweep_file

if TYPE_CHECKING:
    from pandas import DataFrame

_TEXT_COLUMNS = ("trial_id", "status", "stage", "error", "ended_at", "mlflow_run_id")


def read_sweep(folder: SweepFolder) -> dict[str, Any]:
    """Returns what is in `sweep.yaml`.

    Raises:
        ConfigError: There is none, so that the folder is not one of a sweep, or it is damaged.
    """
    return read_sweep_file(folder)


def read_verification(folder: SweepFolder) -> dict[str, Any]:
    """Returns what is in `teacher/verification.json`: metrics and reference values.

    Raises:
        ConfigError: There is no such file.
    """
    verification: dict[str, Any] = json.loads(_read(folder, "teacher/verification.json"))
    return verification


def read_summary(folder: SweepFolder) -> dict[str, Any]:
    """Returns what is in `summary.json`.

    Raises:
        ConfigError: There is no such file.
    """
    summary: dict[str, Any] = json.loads(_read(folder, "summary.json"))
    return summary


def read_trials(folder: SweepFolder) -> "DataFrame":
    """Returns `trials.csv` with ids as text ("0007") and NaN for what is not there.

    Raises:
        ConfigError: There is no such file.
    """
    import pandas as pd

    return pd.read_csv(
        io.StringIO(_read(folder, "trials.csv")),
        dtype=dict.fromkeys(_TEXT_COLUMNS, "str"),
        # Only an empty cell is empty: a label or a method may well be called "None" or "NA".
        keep_default_na=False,
        na_values=[""],
    )


def _read(folder: SweepFolder, name: str) -> str:
    file = folder.root / name
    if not file.is_file():
        problem = Problem(name, "no such file; a sweep writes it (kdray sweep, kdray resume)")
        raise ConfigError([problem], str(folder.root))
    return file.read_text(encoding="utf-8")
