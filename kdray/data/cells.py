"""What the cells of a table mean, whatever file they come from."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

_TRUTH = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "False": 0.0, "True": 1.0}


def words(column: pd.Series) -> pd.Series:
    """Returns each cell as text without space around it; a missing one is empty."""
    missing = column.isna().to_numpy()
    text = [str(value).strip() for value in column.astype(object)]
    return pd.Series(text, column.index, dtype=object).mask(missing, "")


def truths(column: pd.Series) -> npt.NDArray[np.float32]:
    """Returns 0 or 1 for each cell, NaN for what is neither."""
    values = [_TRUTH.get(word, math.nan) for word in words(column)]
    return np.array(values, np.float32)


def is_one(column: pd.Series) -> npt.NDArray[np.bool_]:
    """Returns whether each cell is a positive label."""
    return np.equal(truths(column), 1.0)


def text_keys(frame: pd.DataFrame, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """Returns what makes two rows the same example: their words, however they are spaced."""
    cells = [[" ".join(text.split()) for text in words(frame[name])] for name in columns]
    return list(zip(*cells, strict=True))
