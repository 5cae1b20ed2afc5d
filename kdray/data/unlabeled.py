"""Texts without labels: a teacher's outputs alone teach on them."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from kdray.data.base import UNLABELED, DataSource, Frames
from kdray.data.cells import text_keys
from kdray.data.files import READERS, read_table
from kdray.errors import ConfigError, Problem

LINES = ".txt"
ENDINGS = (*READERS, LINES)
_WHERE = f"data.{UNLABELED}"


def with_unlabeled(frames: Frames, source: DataSource, base: Path) -> tuple[Frames, list[str]]:
    """Returns the tables with that of the texts without labels, if there is one.

    Texts that are in the training set are left out of it, and so are those that were there before.

    Args:
        frames: The splits.
        source: With `unlabeled`, or without.
        base: The folder that relative paths start from.

    Returns:
        The tables, and a line about what was left out.

    Raises:
        ConfigError: If the file cannot be parsed.
    """
    if source.unlabeled is None:
        return frames, []
    path = base / source.unlabeled
    table = _read_lines(path, source) if path.suffix == LINES else read_table(path, _WHERE)
    kept = table
    if all(name in frame for name in source.text_columns for frame in (table, _train(frames))):
        known = set(text_keys(_train(frames), source.text_columns))
        keys = pd.Series(text_keys(table, source.text_columns), table.index, dtype=object)
        kept = table[~(keys.isin(known) | keys.duplicated() & keys.map(all).astype(bool))]
    gone = len(table) - len(kept)
    said = f"{gone:,} texts that are in train, or twice in the file"
    origin = f"{path} (without {said})" if gone else str(path)
    splits, origins = {**frames.splits, UNLABELED: kept}, {**frames.origins, UNLABELED: origin}
    return replace(frames, splits=splits, origins=origins), (
        [f"{_WHERE}: {said}, are left out"] if gone else []
    )


def _train(frames: Frames) -> pd.DataFrame:
    return frames.splits["train"]


def _read_lines(path: Path, source: DataSource) -> pd.DataFrame:
    """Returns the lines of a file that are not empty, named by their number from 0."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(_WHERE, f"{path} cannot be read: {error}")]) from error
    found = {number: line.strip() for number, line in enumerate(lines) if line.strip()}
    return pd.DataFrame({source.text_columns[0]: pd.Series(found, dtype=object)})
