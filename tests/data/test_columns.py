import pandas as pd
import pytest

from kdray.data.columns import proposed_labels, proposed_text, usual_tokens


def table(**columns: list[object]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in columns.items()})


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"id": ["a-very-long-identifier"], "Comment": ["short"]}, "Comment"),
        ({"id": ["x1"], "body": ["some words that are longer"], "n": ["12345678901234"]}, "body"),
        ({"premise": ["a"], "hypothesis": ["b"], "text": ["c"]}, ["premise", "hypothesis"]),
        ({"a": ["1"], "b": ["0"]}, None),
        ({}, None),
    ],
)
def test_the_column_of_texts_is_known_by_its_name_or_its_length(
    columns: dict[str, list[object]], expected: object
) -> None:
    assert proposed_text(table(**columns)) == expected


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"a": [0, 1, 0], "b": ["1", "0", "0"], "always": [1, 1, 1]}, ["a", "b"]),
        ({"a": [True, False, True], "b": ["0.0", "1.0", "1"], "never": [0, 0, 0]}, ["a", "b"]),
        ({"toxic": [0, 1, 0]}, "toxic"),
        ({"id": ["1", "2", "3"], "Label": ["x", "y", "x"]}, "Label"),
        ({"id": ["1", "2", "3"], "source": ["x", "x", "x"]}, "id"),
        ({"one": ["x", "y", "x"], "two": ["x", "y", "x"]}, None),
        ({"one": ["x", "x", "x"]}, None),
    ],
)
def test_the_labels_are_0_1_columns_or_the_one_of_few_classes(
    columns: dict[str, list[object]], expected: object
) -> None:
    frame = table(text=["a", "b", "c"], **columns)
    assert proposed_labels(frame, ["text"]) == expected


def test_a_column_of_many_different_words_holds_no_classes() -> None:
    words = [f"user{number}" for number in range(60)]
    frame = table(text=words, author=words, mood=["good", "bad"] * 30)
    assert proposed_labels(frame, ["text"]) == "mood"


def test_tokens_are_counted_by_words_or_where_there_are_none_by_letters() -> None:
    assert usual_tokens(table(text=["one two three four"] * 20), ["text"]) == 7
    assert usual_tokens(table(text=["あ" * 40] * 20), ["text"]) == 11
    assert usual_tokens(table(a=["one two"] * 20, b=["three four"] * 20), ["a", "b"]) == 7
