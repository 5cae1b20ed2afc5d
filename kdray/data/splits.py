"""A missing validation or test split is split off the training data."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kdray.data.base import DataSource, Frames
from kdray.data.cells import is_one, text_keys, words

# Of twenty neighbours three (15 %) go to test and three to validation, evenly spread.
PLACES = {"test": (0, 7, 13), "validation": (3, 10, 17)}
CYCLE = 20


def complete_splits(source: DataSource, frames: Frames, seed: int) -> Frames:
    """Returns frames with all three splits, 15 % of the training texts for each missing one.

    Rows with the same text stay together, so that no split leaks into another. Every class, and
    every label, gives its share to each split. Rows keep their index in the training file.
    """
    train = frames.splits["train"]
    missing = [name for name in PLACES if name not in frames.splits]
    columns = [name for name in source.text_columns if name in train.columns]
    if not missing or not columns or train.empty:
        return frames
    groups = pd.factorize(pd.Series(text_keys(train, columns)))[0]
    places = _places(_strata(source, train), groups, seed)[groups]
    for name in missing:
        taken = np.isin(places, PLACES[name])
        frames = _with_split(frames, name, train[taken])
    kept = ~np.isin(places, [place for name in missing for place in PLACES[name]])
    return replace(frames, splits=frames.splits | {"train": train[kept]})


def _with_split(frames: Frames, name: str, frame: pd.DataFrame) -> Frames:
    origin = f"{frames.origins['train']} (split off as {name})"
    return Frames(frames.splits | {name: frame}, frames.origins | {name: origin})


def _places(
    strata: npt.NDArray[np.int64], groups: npt.NDArray[np.int64], seed: int
) -> npt.NDArray[np.int64]:
    """Returns the place in the cycle of each group of equal texts.

    Groups are shuffled, then sorted by stratum (of their first row), so that neighbours are alike.
    """
    _, first_rows = np.unique(groups, return_index=True)
    order = np.random.default_rng(seed).permutation(len(first_rows))
    order = order[np.argsort(strata[first_rows][order], kind="stable")]
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order)) % CYCLE
    return places


def _strata(source: DataSource, frame: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Returns the class of each row, or its rarest label; the number of labels if it has none."""
    columns = [name for name in source.label_columns if name in frame.columns]
    if isinstance(source.labels, str):
        return pd.factorize(words(frame[columns[0]]))[0] if columns else _zeros(frame)
    positive = {name: is_one(frame[name]) for name in columns}
    ranked = sorted(columns, key=lambda name: int(positive[name].sum()))
    strata = np.full(len(frame), len(ranked), np.int64)
    for rank, name in reversed(list(enumerate(ranked))):
        strata[positive[name]] = rank
    return strata


def _zeros(frame: pd.DataFrame) -> npt.NDArray[Any]:
    return np.zeros(len(frame), np.int64)
