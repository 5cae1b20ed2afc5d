"""From tables to examples, with every mistake of the data in one error."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from kdray.config.validation import nearest
from kdray.data.base import OUT_OF_DOMAIN, UNLABELED, DataSource, Examples, Frames, Labels
from kdray.data.cells import text_keys, truths, words
from kdray.errors import ConfigError, Problem

Targets = npt.NDArray[np.float32] | npt.NDArray[np.int64]


def to_examples(source: DataSource, frames: Frames) -> tuple[Labels, dict[str, Examples]]:
    """Returns the labels and the examples of each split.

    Raises:
        ConfigError: With every missing column, empty text, label that is not 0 or 1, empty or
            single-class split, and text that stands in two splits. Rows are named by their index,
            from 0.
    """
    problems = _column_problems(source, frames)
    if problems:
        raise ConfigError(problems)
    labels = _labels(source, frames)
    examples = {}
    for name, frame in frames.splits.items():
        targets, wrong = _split_targets(labels, source, name, frames)
        texts = list(zip(*(words(frame[column]) for column in source.text_columns), strict=True))
        examples[name] = Examples(tuple(texts), targets)
        problems += wrong + _empty_text_problems(frame.index, texts, frames.origins[name])
        # Another domain need not have every label.
        if not wrong and name not in (OUT_OF_DOMAIN, UNLABELED):
            problems += _class_problems(labels, targets, name, frames.origins[name])
    problems += _leak_problems(source, frames)
    if problems:
        raise ConfigError(problems)
    return labels, examples


def file_texts(
    columns: Sequence[str], frame: pd.DataFrame, origin: str
) -> tuple[tuple[tuple[str, ...], ...], list[Problem]]:
    """Returns the texts of one table, and what is wrong with them.

    Args:
        columns: The text columns, one or two.
        frame: The table.
        origin: Where it is from.
    """
    wanted = [("data.text", name) for name in columns]
    problems = _missing_problems(wanted, frame, origin)
    if problems:
        return (), problems
    texts = list(zip(*(words(frame[column]) for column in columns), strict=True))
    return tuple(texts), _empty_text_problems(frame.index, texts, origin)


def file_examples(
    source: DataSource, labels: Labels, frame: pd.DataFrame, origin: str
) -> tuple[Examples, list[Problem]]:
    """Returns the examples of one table whose labels are known already, and its problems.

    Args:
        source: Which columns hold texts and labels.
        labels: What a student has learnt.
        frame: The table.
        origin: Where it is from.
    """
    texts, problems = file_texts(source.text_columns, frame, origin)
    wanted = [("data.labels", name) for name in source.label_columns]
    missing = _missing_problems(wanted, frame, origin)
    if missing or not texts:
        return Examples((), np.zeros(0, np.int64)), list(dict.fromkeys([*problems, *missing]))
    targets, wrong = _targets(labels, source, frame, origin)
    return Examples(texts, targets), [*problems, *wrong]


def _column_problems(source: DataSource, frames: Frames) -> list[Problem]:
    wanted = [("data.text", name) for name in source.text_columns]
    wanted += [("data.labels", name) for name in source.label_columns]
    problems = []
    for split, frame in frames.splits.items():
        if not len(frame):
            problems.append(Problem(_key(split), f"{frames.origins[split]} has no rows"))
            continue
        columns = [str(column) for column in frame.columns]
        problems += [
            Problem(key, f"{frames.origins[split]} has no column {name!r}{nearest(name, columns)}")
            for key, name in wanted
            if name not in columns and (key, split) != ("data.labels", UNLABELED)
        ]
    return problems


def _missing_problems(
    wanted: Sequence[tuple[str, str]], frame: pd.DataFrame, origin: str
) -> list[Problem]:
    """Returns which columns a table lacks, and which it has: it may call them quite otherwise."""
    if not len(frame):
        return [Problem("data.file", f"{origin} has no rows")]
    columns = [str(column) for column in frame.columns]
    there = ", ".join(columns)
    return [
        Problem(key, f"{origin} has no column {name!r}; it has {there}")
        for key, name in wanted
        if name not in columns
    ]


def _labels(source: DataSource, frames: Frames) -> Labels:
    if not isinstance(source.labels, str):
        return Labels(tuple(source.labels), "multi_label")
    classes = set(words(frames.splits["train"][source.labels])) - {""}
    if all(name.isdecimal() for name in classes):
        return Labels(tuple(sorted(classes, key=int)), "single_label")
    return Labels(tuple(sorted(classes)), "single_label")


def _split_targets(
    labels: Labels, source: DataSource, split: str, frames: Frames
) -> tuple[Targets, list[Problem]]:
    frame = frames.splits[split]
    if split == UNLABELED:
        return _no_targets(labels, len(frame)), []
    return _targets(labels, source, frame, frames.origins[split])


def _targets(
    labels: Labels, source: DataSource, frame: pd.DataFrame, origin: str
) -> tuple[Targets, list[Problem]]:
    if isinstance(source.labels, str):
        return _class_targets(labels, frame[source.labels], origin)
    columns = [truths(frame[name]) for name in labels.names]
    problems = [
        _truth_problem(frame[name], np.isnan(column), origin)
        for name, column in zip(labels.names, columns, strict=True)
        if np.isnan(column).any()
    ]
    return np.nan_to_num(np.stack(columns, axis=1)), problems


def _no_targets(labels: Labels, count: int) -> Targets:
    if labels.kind == "single_label":
        return np.full(count, -1, np.int64)
    return np.full((count, len(labels.names)), np.nan, np.float32)


def _truth_problem(column: pd.Series, wrong: npt.NDArray[np.bool_], origin: str) -> Problem:
    row = column.index[wrong][0]
    many = f" ({wrong.sum()} rows like that)" if wrong.sum() > 1 else ""
    found = _short(words(column[wrong]).iloc[0])
    message = f"column {column.name!r} must hold 0 or 1, but row {row} holds {found}{many}"
    return Problem("data.labels", f"{origin}: {message}")


def _class_targets(
    labels: Labels, column: pd.Series, origin: str
) -> tuple[npt.NDArray[np.int64], list[Problem]]:
    places = {name: index for index, name in enumerate(labels.names)}
    values = words(column)
    empty = values.index[values == ""]
    unknown = sorted(set(values) - set(places) - {""})
    problems = []
    if unknown:
        names = _listed([_short(name) for name in unknown])
        message = f"{origin}: classes that never occur in the training data: {names}"
        problems.append(Problem("data.labels", message))
    if len(empty):
        message = f"{origin}: {len(empty)} rows have no class: {_listed(empty)}; take them out"
        problems.append(Problem("data.labels", message))
    return np.array([places.get(name, 0) for name in values], np.int64), problems


def _empty_text_problems(
    index: pd.Index, texts: list[tuple[str, ...]], origin: str
) -> list[Problem]:
    empty = index[[not all(row) for row in texts]]
    if not len(empty):
        return []
    message = f"{origin}: {len(empty)} rows have an empty text: {_listed(empty)}; take them out"
    return [Problem("data.text", message)]


def _short(cell: str) -> str:
    """Returns a cell for a message, unless it may be a text: those are not ours to show."""
    return repr(cell) if len(cell) <= 20 else "a long text"


def _listed(rows: Sequence[object] | pd.Index) -> str:
    return ", ".join(map(str, rows[:5])) + (", …" if len(rows) > 5 else "")


def _class_problems(labels: Labels, targets: Targets, split: str, origin: str) -> list[Problem]:
    if labels.kind == "single_label":
        if len(np.unique(targets)) > 1:
            return []
        return [Problem(f"data.{split}", f"{origin} holds a single class; two are needed")]
    positive = targets.sum(axis=0, dtype=np.float64)
    messages = {0.0: "never occurs", float(len(targets)): "stands in every row"}
    return [
        Problem(
            f"data.{split}",
            f"{origin}: label {name!r} {messages[float(count)]}, so it cannot be learnt or "
            "measured; add examples or take it out of data.labels",
        )
        for name, count in zip(labels.names, positive, strict=True)
        if float(count) in messages
    ]


def _leak_problems(source: DataSource, frames: Frames) -> list[Problem]:
    seen: dict[tuple[str, ...], tuple[str, object]] = {}
    leaks: dict[tuple[str, str], list[tuple[object, object]]] = {}
    for split, frame in frames.splits.items():
        keys = text_keys(frame, source.text_columns)
        for row, key in zip(frame.index, keys, strict=True):
            first, first_row = seen.setdefault(key, (split, row))
            if first != split and all(key):
                leaks.setdefault((first, split), []).append((first_row, row))
    return [_leak_problem(*splits, rows) for splits, rows in leaks.items()]


def _leak_problem(first: str, second: str, rows: list[tuple[object, object]]) -> Problem:
    shown = ", ".join(f"{one} and {other}" for one, other in rows[:5])
    more = ", …" if len(rows) > 5 else ""
    return Problem(
        _key(second),
        f"texts of {first} stand in {second} too, {len(rows)} rows ({first} and {second} row: "
        f"{shown}{more}); take them out of one",
    )


def _key(split: str) -> str:
    """Returns the dotted key that a split's table comes from."""
    return f"evaluation.{split}" if split == OUT_OF_DOMAIN else f"data.{split}"
