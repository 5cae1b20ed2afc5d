"""What can be seen in a data file: its texts, its labels, and the files of the other splits."""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from kdray.commands.asking import Interview
from kdray.config.validation import nearest
from kdray.data.columns import proposed_labels, proposed_text, usual_tokens
from kdray.data.files import READERS, read_table
from kdray.data.synthetic import Synthetic
from kdray.errors import ConfigError, Problem
from kdray.reading import Data
from kdray.waiting import shown_on

# What the files of the other splits are called where that of training is called `train`.
OTHER_SPLITS = {"validation": ("validation", "valid", "val", "dev"), "test": ("test",)}
LENGTHS = (32, 64, 128, 256, 512)


def data_section(
    file: str,
    text: str | None,
    labels: str | None,
    target: Path,
    interview: Interview,
) -> dict[str, Any]:
    """Returns the section `data` about a training file, and about those of other splits beside it.

    Args:
        file: The training file; empty: the made-up comments.
        text: Its column of texts, or two with a comma between; None: to be seen or asked.
        labels: Its label columns, with commas between; None: to be seen or asked.
        target: The search-space file; paths start from its folder.
        interview: Where answers are from.

    Raises:
        ConfigError: If the file cannot be read, or nothing is known of its columns.
    """
    if not file:
        return {"source": "synthetic", "labels": Synthetic().labels}
    path = Path(checked_file(file))
    with shown_on(Console()):
        frame = read_table(path, "--data")
    about = frame, interview
    texts = _columns("--text", "Column of the texts", proposed_text(frame), text, about)
    seen = proposed_labels(frame, texts)
    found = _columns("--labels", "Columns of the labels", seen, labels, about)
    tokens = usual_tokens(frame, texts)
    splits = {"train": path, **_beside(path)}
    return {
        "source": "files",
        **{name: os.path.relpath(one, target.resolve().parent) for name, one in splits.items()},
        "text": texts[0] if len(texts) == 1 else texts,
        "labels": found[0] if len(found) == 1 else found,
        "max_length": next((n for n in LENGTHS if n >= tokens), LENGTHS[-1]),
    }


def checked_file(file: str) -> str:
    """Returns the name of a file of data, or none, if there is such a file.

    Raises:
        ConfigError: If there is none, or it is of no kind that can be read.
    """
    kinds, path = ", ".join(READERS), Path(file)
    if file and path.suffix not in READERS:
        message = f"must be a file that ends in {kinds}, but got {file!r}"
        raise ConfigError([Problem("--data", message)])
    if file and not path.is_file():
        raise ConfigError([Problem("--data", f"{file!r} does not exist; name a file that does")])
    return file


def seen_words(section: Mapping[str, Any], data: Data) -> str:
    """Returns what was found: rows, the columns that are read, and how often labels occur."""
    rows = ", ".join(f"{len(part):,} {name}" for name, part in data.examples.items())
    if section["source"] == "synthetic":
        return f"Made-up comments, to try kdray with: {rows}."
    targets, names = data.examples["train"].targets, data.labels.names
    single = data.labels.kind == "single_label"
    counts = np.bincount(targets, minlength=len(names)) if single else targets.sum(axis=0)
    ordered = sorted(zip(names, counts, strict=True), key=lambda pair: -pair[1])
    often = ", ".join(f"{name} {int(count):,}" for name, count in ordered)
    texts = " and ".join(_listed(section["text"]))
    kind = (
        f"one of {len(names)} classes a text, in {section['labels']}"
        if single
        else f"{len(names)} columns of 0 and 1, of which a text may have any"
    )
    missing = [name for name in ("validation", "test") if name not in section]
    off = f" ({' and '.join(missing)} split off the training file)" if missing else ""
    return f"{rows} rows{off}; texts in {texts}; {kind}: {often} in train."


def _columns(
    flag: str,
    question: str,
    seen: str | list[str] | None,
    said: str | None,
    of: tuple[pd.DataFrame, Interview],
) -> list[str]:
    """Returns columns that are there: what the user says, or agrees to."""
    frame, interview = of
    there = [str(name) for name in frame.columns]
    asked = f"{question}, of {', '.join(there)}"
    return interview.answer(said, asked, ",".join(_listed(seen)), partial(_named, flag, there))


def _named(flag: str, there: Sequence[str], said: str) -> list[str]:
    names = [name.strip() for name in said.split(",") if name.strip()]
    if not names:
        message = f"cannot be seen in the data; name them: {', '.join(there)}"
        raise ConfigError([Problem(flag, message)])
    problems = [
        Problem(flag, f"the data have no column {name!r}{nearest(name, there)}")
        for name in names
        if name not in there
    ]
    if problems:
        raise ConfigError(problems)
    return names


def _listed(names: str | Sequence[str] | None) -> list[str]:
    return [names] if isinstance(names, str) else list(names or ())


def _beside(train: Path) -> dict[str, Path]:
    """Returns the files of the other splits that lie beside the training file."""
    found: dict[str, Path] = {}
    for split, words in OTHER_SPLITS.items():
        named = (train.with_name(train.name.replace("train", word)) for word in words)
        other = next((path for path in named if path != train and path.is_file()), None)
        found |= {split: other} if other else {}
    return found
