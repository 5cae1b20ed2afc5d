"""The file that a stored student is run on: its columns found, its cells checked."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kdray.data.base import DataSource, Examples
from kdray.data.checks import file_examples, file_texts
from kdray.data.files import READERS, read_table
from kdray.errors import ConfigError, Problem
from kdray.exporting.reading import Stored
from kdray.reporting.reading import read_sweep
from kdray.results.folder import SweepFolder

STDIN = "-"
# What a key of the data is called on the command line.
_WHERE = {"data.text": "--text", "data.labels": "FILE", "data.file": "FILE"}


@dataclass(frozen=True)
class Asked:
    """A student, a file, and how the two fit together.

    Attributes:
        student: The student's folder.
        file: The file's path; `-`: standard input, a text a line, which has no labels.
        text: Its text columns; empty: those of the data that the student was trained on.
        label: Its class column, where a text has one class; None: that of those data.
        trust_remote_code: Whether Python code in the student's folder may run.
    """

    student: Path
    file: str
    text: Sequence[str] = ()
    label: str | None = None
    trust_remote_code: bool = False


def labelled_examples(asked: Asked, stored: Stored) -> Examples:
    """Returns the examples of the file.

    Raises:
        ConfigError: If columns, labels or classes are not those that the student knows.
    """
    columns = _columns(asked, stored)
    text, problems = _text_columns(asked, columns)
    labels, wrong = _label_columns(asked, stored, columns)
    _refuse([*problems, *wrong])
    source = DataSource(text=list(text), labels=labels)
    examples, problems = file_examples(source, stored.labels, _table(asked.file), asked.file)
    _refuse(problems)
    return examples


def unlabelled_texts(asked: Asked, stored: Stored) -> tuple[Sequence[str], Examples]:
    """Returns the names of the text columns, and the texts of the file with empty targets.

    Raises:
        ConfigError: If the columns are not there, or a row has no text.
    """
    columns, problems = _text_columns(asked, _columns(asked, stored))
    if asked.file == STDIN and len(columns) > 1:
        problems.append(Problem("FILE", "the student reads pairs of texts: name a file with both"))
    _refuse(problems)
    if asked.file == STDIN:
        lines = [line for line in sys.stdin.read().splitlines() if line.strip()]
        table = pd.DataFrame({columns[0]: lines}, dtype=object)
    else:
        table = _table(asked.file)
    texts, problems = file_texts(columns, table, asked.file)
    _refuse(problems)
    return columns, Examples(texts, np.zeros(len(texts), np.int64))


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise ConfigError([replace(p, where=_WHERE.get(p.where, p.where)) for p in problems])


def _table(file: str) -> pd.DataFrame:
    path = Path(file)
    if path.suffix not in READERS:
        raise ConfigError([Problem("FILE", f"must end in {', '.join(READERS)}, but got {file!r}")])
    if not path.is_file():
        raise ConfigError([Problem("FILE", f"no such file: {file}")])
    return read_table(path, "FILE")


def _columns(asked: Asked, stored: Stored) -> Mapping[str, Any]:
    """Returns the columns of a student's own data: from its card, or from the sweep around it."""
    known: Mapping[str, Any] | None = stored.card.get("columns")
    if known is not None:
        return known
    folder = asked.student.resolve()
    sweep = SweepFolder(folder.parent.parent)
    if folder.parent.name == "students" and sweep.sweep_yaml.is_file():
        data: Mapping[str, Any] = read_sweep(sweep)["config"]["data"]
        return data
    return {}


def _text_columns(asked: Asked, columns: Mapping[str, Any]) -> tuple[list[str], list[Problem]]:
    known = columns.get("text", "text")
    own = [known] if isinstance(known, str) else list(known)
    if asked.text and "text" in columns and len(asked.text) != len(own):
        message = f"the student reads {len(own)} text column(s), but got {len(asked.text)}"
        return own, [Problem("--text", message)]
    return list(asked.text or own), []


def _label_columns(
    asked: Asked, stored: Stored, columns: Mapping[str, Any]
) -> tuple[str | list[str], list[Problem]]:
    names = list(stored.labels.names)
    if stored.labels.kind == "multi_label":
        message = "the student gives any number of labels; each has a column of its own name"
        return names, [Problem("--label", message)] if asked.label else []
    column = asked.label or columns.get("labels")
    if not isinstance(column, str):
        return "", [Problem("--label", "is needed: it names the column that holds the classes")]
    return column, []
