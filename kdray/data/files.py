"""Tables on disk: .csv, .parquet, .jsonl."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field, field_validator

from kdray.data.base import OUT_OF_DOMAIN, SPLITS, DataSource, Frames
from kdray.errors import ConfigError, Problem
from kdray.waiting import during


class Files(DataSource):
    """One file a split; a missing validation or test file is split off the training file."""

    source: Literal["files"] = "files"
    train: str = Field(description="Training file, relative to the YAML file.")
    validation: str | None = Field(None, description="null: a part of the training file.")
    test: str | None = Field(None, description="null: a part of the training file.")

    @field_validator("train", "validation", "test")
    @classmethod
    def _format_is_known(cls, value: str | None) -> str | None:
        if value is not None and Path(value).suffix not in READERS:
            raise ValueError(f"must end in {', '.join(READERS)}, but got {value!r}")
        return value

    def paths(self, base: Path) -> dict[str, Path]:
        """Returns the path of each split that has a file."""
        named = {name: getattr(self, name) for name in SPLITS}
        return {name: base / value for name, value in named.items() if value is not None}

    def read(self, base: Path, seed: int) -> Frames:
        """Returns the tables.

        Raises:
            ConfigError: If a file cannot be parsed.
        """
        paths, splits, problems = self.paths(base), {}, list[Problem]()
        for name, path in paths.items():
            try:
                splits[name] = read_table(path, f"data.{name}")
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(problems)
        return Frames(splits, {name: str(path) for name, path in paths.items()})


def read_table(path: Path, where: str) -> pd.DataFrame:
    """Returns the table of a file.

    Args:
        path: The file; its ending says what it is.
        where: The dotted key that names it.

    Raises:
        ConfigError: If it cannot be parsed.
    """
    try:
        with during(f"reading {path.name}"):
            return READERS[path.suffix](path)
    except Exception as error:  # a damaged file makes pyarrow raise many kinds
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError([Problem(where, f"{path} cannot be read: {reason}")]) from error


def with_out_of_domain(frames: Frames, file: str | None, base: Path) -> Frames:
    """Returns the tables with that of another domain, if there is one.

    Args:
        frames: The splits.
        file: `evaluation.out_of_domain`.
        base: The folder that relative paths start from.

    Raises:
        ConfigError: If the file cannot be parsed.
    """
    if file is None:
        return frames
    table = read_table(base / file, f"evaluation.{OUT_OF_DOMAIN}")
    origins = {**frames.origins, OUT_OF_DOMAIN: str(base / file)}
    return Frames({**frames.splits, OUT_OF_DOMAIN: table}, origins)


def _read_csv(path: Path) -> pd.DataFrame:
    """Returns every cell as text: `NA` and `007` stay what they are."""
    frame = pd.read_csv(path, keep_default_na=False, dtype=object)
    if not isinstance(frame.index, pd.RangeIndex):
        raise ValueError("its rows have more fields than its header")
    return frame


def _read_jsonl(path: Path) -> pd.DataFrame:
    """Returns the objects of a file, one a line, their values as JSON gives them."""
    rows = []
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                rows.append(_json_object(line, number))
    return pd.DataFrame(rows, dtype=object)


def _json_object(line: str, number: int) -> dict[str, object]:
    try:
        value = json.loads(line)
        if "\\ud" in line.lower():  # half of a character, which no tokenizer takes
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise ValueError(f"line {number} is no JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"line {number}: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"line {number} is no JSON object")
    return value


def _read_parquet(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path).reset_index(drop=True)


READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": _read_csv,
    ".parquet": _read_parquet,
    ".jsonl": _read_jsonl,
}
