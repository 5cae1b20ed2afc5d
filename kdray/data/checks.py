"""From tables to examples, with every mistake of the data in one error."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from kdray.config.validation import nearest
from kdray.data.base import DataSource, Examples, Frames, Labels
from kdray.errors import ConfigError, Problem

_TRUTH = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "False": 0.0, "True": 1.0}


def to_examples(source: DataSource, frames: Frames) -> tuple[Labels, dict[str, Examples]]:
    """Returns the labels and the examples of each split.

    Raises:
        ConfigError: With every missing column, empty text, label that is not 0 or 1, empty or
            single-class split, and text that stands in two splits. Rows are named by their index.
    """
    problems = _column_problems(source, frames)
    if problems:
        raise ConfigError(problems)
    labels = _labels(source, frames)
    examples, problems = {}, []
    for name, frame in frames.splits.items():
        texts = _texts(source, frame)
        targets, wrong = _targets(source, labels, frame, frames.origins[name])
        examples[name] = Examples(texts, targets)
        problems += wrong + _empty_text_problems(texts, frames.origins[name])
        if not wrong:
            problems += _class_problems(labels, targets, name, frames.origins[name])
    problems += _leak_problems(examples)
    if problems:
        raise ConfigError(problems)
    return labels, examples


def _column_problems(source: DataSource, frames: Frames) -> list[Problem]:
    wanted = [("data.text", name) for name in source.text_columns]
    named = [source.labels] if isinstance(source.labels, str) else source.labels
    wanted += [("data.labels", name) for name in named]
    problems = []
    for split, frame in frames.splits.items():
        columns = [str(column) for column in frame.columns]
        problems += [
            Problem(key, f"{frames.origins[split]} has no column {name!r}{nearest(name, columns)}")
            for key, name in wanted
            if name not in columns
        ]
        if not len(frame):
            problems.append(Problem(f"data.{split}", f"{frames.origins[split]} has no rows"))
    return problems


def _labels(source: DataSource, frames: Frames) -> Labels:
    if not isinstance(source.labels, str):
        return Labels(tuple(source.labels), "multi_label")
    classes = frames.splits["train"][source.labels].astype(str).unique()
    return Labels(tuple(sorted(classes)), "single_label")


def _texts(source: DataSource, frame: pd.DataFrame) -> tuple[tuple[str, ...], ...]:
    columns = [
        frame[column].fillna("").astype(str).str.strip().tolist() for column in source.text_columns
    ]
    return tuple(zip(*columns, strict=True))


def _targets(
    source: DataSource, labels: Labels, frame: pd.DataFrame, origin: str
) -> tuple[npt.NDArray[np.float32] | npt.NDArray[np.int64], list[Problem]]:
    if isinstance(source.labels, str):
        known = {name: index for index, name in enumerate(labels.names)}
        values = frame[source.labels].astype(str)
        unknown = sorted(set(values) - set(known))
        problems = [
            Problem("data.labels", f"{origin}: class {name!r} never occurs in the training data")
            for name in unknown
        ]
        return values.map(lambda value: known.get(value, 0)).to_numpy(np.int64), problems
    columns, problems = [], []
    for name in labels.names:
        column = frame[name].astype(str).map(_TRUTH)
        wrong = column.index[column.isna()]
        if len(wrong):
            value = frame[name].loc[wrong[0]]
            problems.append(
                Problem(
                    "data.labels",
                    f"{origin}: column {name!r} must hold 0 or 1, but row {wrong[0]} "
                    f"holds {value!r} ({len(wrong)} rows like that)",
                )
            )
        columns.append(column.fillna(0.0).to_numpy(np.float32))
    return np.stack(columns, axis=1), problems


def _empty_text_problems(texts: tuple[tuple[str, ...], ...], origin: str) -> list[Problem]:
    empty = [index for index, row in enumerate(texts) if not all(row)]
    if not empty:
        return []
    shown = ", ".join(map(str, empty[:5]))
    return [
        Problem("data.text", f"{origin}: {len(empty)} empty texts, rows {shown}; take them out")
    ]


def _class_problems(
    labels: Labels, targets: npt.NDArray[np.generic], split: str, origin: str
) -> list[Problem]:
    if labels.kind == "single_label":
        if len(np.unique(targets)) > 1:
            return []
        return [Problem(f"data.{split}", f"{origin} holds a single class; two are needed")]
    positive = targets.astype(np.float64).sum(axis=0)
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


def _leak_problems(examples: Mapping[str, Examples]) -> list[Problem]:
    seen: dict[tuple[str, ...], tuple[str, int]] = {}
    leaks: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for split, part in examples.items():
        for row, texts in enumerate(part.texts):
            key = tuple(" ".join(text.split()) for text in texts)
            first, first_row = seen.setdefault(key, (split, row))
            if first != split:
                leaks.setdefault((first, split), []).append((first_row, row))
    return [
        Problem(
            f"data.{second}",
            f"{len(rows)} texts stand in {first} and in {second} too (row {rows[0][0]} of {first} "
            f"is row {rows[0][1]} of {second}); take them out of one",
        )
        for (first, second), rows in leaks.items()
    ]
