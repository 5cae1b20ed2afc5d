from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kdray.data.base import DataSource, Examples, Frames, Labels
from kdray.data.checks import to_examples
from kdray.errors import ConfigError

MULTI = DataSource(text="text", labels=["a", "b"])
SINGLE = DataSource(text="text", labels="topic")
SPLITS = ("train", "validation", "test")


def table(split: str, **columns: Sequence[Any]) -> pd.DataFrame:
    rows = {
        "text": [f"{split} {number}" for number in range(4)],
        "a": [0, 1, 0, 1],
        "b": [1, 0, 0, 1],
        "topic": ["x", "y", "x", "y"],
    }
    return pd.DataFrame(rows | columns)


def frames(**changed: Mapping[str, Sequence[Any]]) -> Frames:
    splits = {name: table(name, **changed.get(name, {})) for name in SPLITS}
    return Frames(splits, {name: f"{name}.csv" for name in SPLITS})


def checked(source: DataSource, **changed: Any) -> tuple[Labels, dict[str, Examples]]:
    return to_examples(source, frames(**changed))


def told(source: DataSource, **changed: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        checked(source, **changed)
    return [str(problem) for problem in caught.value.problems]


def test_multi_label_targets_are_a_float_matrix_in_the_order_of_the_labels() -> None:
    labels, examples = checked(DataSource(text="text", labels=["b", "a"]))
    assert labels == Labels(("b", "a"), "multi_label")
    assert examples["train"].targets.tolist() == [[1, 0], [0, 1], [0, 0], [1, 1]]
    assert examples["train"].targets.dtype == np.float32
    assert examples["train"].texts[0] == ("train 0",)


def test_single_label_targets_are_the_places_of_their_classes() -> None:
    labels, examples = checked(SINGLE)
    assert labels == Labels(("x", "y"), "single_label")
    assert examples["test"].targets.tolist() == [0, 1, 0, 1]
    assert examples["test"].targets.dtype == np.int64


def test_classes_that_are_numbers_stand_in_the_order_of_numbers() -> None:
    column = {"topic": [10, 9, 10, 2]}
    labels, examples = checked(SINGLE, train=column, validation=column, test=column)
    assert labels.names == ("2", "9", "10")
    assert examples["train"].targets.tolist() == [2, 1, 2, 0]


def test_text_pairs_are_pairs() -> None:
    source = DataSource(text=["text", "topic"], labels=["a"])
    _, examples = checked(source)
    assert examples["train"].texts[:2] == (("train 0", "x"), ("train 1", "y"))


def test_the_texts_of_a_frame_lose_the_space_around_them() -> None:
    _, examples = checked(MULTI, train={"text": [" a ", "b\n", "c", "d"]})
    assert examples["train"].texts == (("a",), ("b",), ("c",), ("d",))


def test_every_missing_column_of_every_file_is_named_with_the_nearest() -> None:
    assert told(DataSource(text="texts", labels=["a", "bb"]))[:2] == [
        "data.text: train.csv has no column 'texts'; did you mean 'text'?",
        "data.labels: train.csv has no column 'bb'; did you mean 'b'?",
    ]
    assert len(told(DataSource(text="texts", labels=["a", "bb"]))) == 6


def test_an_empty_split_is_named() -> None:
    empty: dict[str, Sequence[Any]] = {name: [] for name in ("text", "a", "b", "topic")}
    assert told(MULTI, test=empty) == ["data.test: test.csv has no rows"]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([0, 1, 2, 1], "row 2 holds '2'"),
        (["0", "1", "yes", "no"], "row 2 holds 'yes' (2 rows like that)"),
        ([0.0, 1.0, None, 1.0], "row 2 holds ''"),
        (["0", "1", "", "1"], "row 2 holds ''"),
    ],
)
def test_a_label_that_is_not_0_or_1_is_named_with_its_row(column: Any, message: str) -> None:
    (found,) = told(MULTI, validation={"a": column})
    rule = "data.labels: validation.csv: column 'a' must hold 0 or 1, but "
    assert found.startswith(rule + message)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([0, 0, 0, 0], "label 'a' never occurs, so it cannot be learnt or measured"),
        ([1, 1, 1, 1], "label 'a' stands in every row, so it cannot be learnt or measured"),
    ],
)
@pytest.mark.parametrize("split", SPLITS)
def test_a_label_without_two_values_is_named_in_its_split(
    split: str, column: Any, message: str
) -> None:
    (found,) = told(MULTI, **{split: {"a": column}})
    assert found.startswith(f"data.{split}: {split}.csv: {message}")


@pytest.mark.parametrize("split", SPLITS[1:])
def test_a_split_of_a_single_class_is_refused(split: str) -> None:
    assert told(SINGLE, **{split: {"topic": ["x"] * 4}}) == [
        f"data.{split}: {split}.csv holds a single class; two are needed"
    ]


def test_a_training_set_of_a_single_class_is_refused() -> None:
    found = told(SINGLE, train={"topic": ["x"] * 4})
    assert "data.train: train.csv holds a single class; two are needed" in found


def test_a_class_that_is_not_in_the_training_data_is_named() -> None:
    assert told(SINGLE, test={"topic": ["x", "y", "z", "w"]}) == [
        "data.labels: test.csv: classes that never occur in the training data: 'w', 'z'"
    ]


@pytest.mark.parametrize("source", [MULTI, SINGLE])
def test_a_text_column_that_is_taken_for_labels_is_not_shown(source: DataSource) -> None:
    texts = [f"the {word} comment of a person" for word in ("first", "second", "third", "last")]
    found = told(source, test={"a": texts, "topic": texts})
    assert "a long text" in found[0]
    assert "comment" not in "".join(found)


@pytest.mark.parametrize("empty", ["", " ", None, float("nan")])
def test_rows_without_a_class_are_named(empty: Any) -> None:
    assert told(SINGLE, train={"topic": ["x", empty, "y", empty]}) == [
        "data.labels: train.csv: 2 rows have no class: 1, 3; take them out"
    ]


@pytest.mark.parametrize("empty", ["", "  \n", None])
def test_empty_texts_are_named_by_their_rows(empty: Any) -> None:
    assert told(MULTI, train={"text": ["a", empty, "c", empty]}) == [
        "data.text: train.csv: 2 rows have an empty text: 1, 3; take them out"
    ]


def test_one_empty_text_of_a_pair_is_enough() -> None:
    source = DataSource(text=["text", "topic"], labels=["a"])
    assert told(source, test={"topic": ["", "y", "x", "y"]}) == [
        "data.text: test.csv: 1 rows have an empty text: 0; take them out"
    ]


def test_a_text_in_two_splits_is_named_by_its_rows_and_never_shown() -> None:
    found = told(
        MULTI,
        train={"text": ["p", "secret  words", "q", "r"]},
        validation={"text": ["s", "t", "u", " secret words"]},
    )
    assert found == [
        "data.validation: texts of train stand in validation too, 1 rows (train and validation "
        "row: 1 and 3); take them out of one"
    ]
    assert "secret" not in "".join(found)


def test_a_text_in_validation_and_test_is_a_leak_too() -> None:
    (found,) = told(MULTI, validation={"text": list("abcd")}, test={"text": list("befg")})
    assert found.startswith("data.test: texts of validation stand in test too, 1 rows")


def test_a_pair_leaks_only_if_both_texts_are_the_same() -> None:
    source = DataSource(text=["text", "topic"], labels=["a"])
    texts = {"text": list("pqrs")}
    checked(source, train=texts, test=texts | {"topic": ["y", "x", "y", "x"]})
    assert len(told(source, train=texts, test=texts)) == 1


def test_a_text_may_stand_twice_in_one_split() -> None:
    checked(MULTI, train={"text": ["a", "a", "b", "c"]})


def test_rows_keep_the_index_of_their_file() -> None:
    tables = frames()
    tables.splits["test"].index = pd.Index([7, 8, 9, 30])
    tables.splits["test"].loc[30, "a"] = 5
    with pytest.raises(ConfigError, match="row 30 holds '5'"):
        to_examples(MULTI, tables)


def test_all_problems_of_the_data_are_told_at_once() -> None:
    found = told(
        MULTI,
        train={"text": ["a", "", "b", "c"], "a": [0, 1, 2, 1]},
        validation={"text": ["a", "d", "e", "f"], "b": [0, 0, 0, 0]},
        test={"b": ["x", 1, 0, 1]},
    )
    assert len(found) == 5
