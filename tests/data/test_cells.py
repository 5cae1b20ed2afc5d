import numpy as np
import pandas as pd
import pytest

from kdray.data.cells import is_one, text_keys, truths, words


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pd.Series([" a ", "NA", "nan", None], dtype=object), ["a", "NA", "nan", ""]),
        (pd.Series(["a", None]), ["a", ""]),
        (pd.Series([1.0, None]), ["1.0", ""]),
        (pd.Series([3, 7]), ["3", "7"]),
        (pd.Series([True, False]), ["True", "False"]),
    ],
)
def test_cells_of_any_type_are_words_and_missing_ones_are_empty(
    column: pd.Series, expected: list[str]
) -> None:
    assert words(column).tolist() == expected


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["1", "0", "1.0", " 0 "], dtype=object),
        pd.Series([1, 0, 1, 0]),
        pd.Series([1.0, 0.0, 1.0, 0.0]),
        pd.Series([True, False, True, False]),
    ],
)
def test_labels_of_any_type_are_one_or_zero(column: pd.Series) -> None:
    assert truths(column).tolist() == [1, 0, 1, 0]
    assert truths(column).dtype == np.float32


def test_what_is_neither_one_nor_zero_is_nan() -> None:
    column = pd.Series(["yes", "2", "", None, "1"], dtype=object)
    assert np.isnan(truths(column)).tolist() == [True, True, True, True, False]
    assert is_one(column).tolist() == [False, False, False, False, True]


def test_texts_are_the_same_however_they_are_spaced() -> None:
    frame = pd.DataFrame({"a": ["x  y", " x y ", "x\ny"], "b": ["z", "z", "z "]})
    assert set(text_keys(frame, ["a", "b"])) == {("x y", "z")}
