from pathlib import Path
from typing import Any

import pytest

from kdray.commands.space_text import fewer_layers, yaml_of
from kdray.config.loading import parse_document

VALUES = [
    "plain",
    "two words",
    "no",
    "null",
    "true",
    "1e5",
    "7",
    "a: b",
    "a # b",
    "*word_embeddings",
    "বাংলা",
    "it's",
    "",
    " spaced ",
    "[list]",
    "C:\\data\\x.csv",
    None,
    True,
    0,
    1e-4,
    2e-5,
    [1, 2.5, "no"],
    {"uniform": [0.1, 0.9]},
    {"choice": ["none", {"stages": 2}]},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_is_written_so_that_it_is_read_again(value: Any) -> None:
    text = f"a: {yaml_of(value)}\nb: {{c: {yaml_of(value)}}}\n{yaml_of('d')}: [{yaml_of(value)}]\n"
    read = parse_document(text, "x.yaml", Path()).content
    assert read == {"a": value, "b": {"c": value}, "d": [value]}


def test_words_stand_without_quotes() -> None:
    assert yaml_of({"method": {"choice": ["none", "logit"]}}) == "{method: {choice: [none, logit]}}"


@pytest.mark.parametrize(
    ("layers", "expected"),
    [(1, 1), (2, 1), (4, [1, 2, 3]), (6, [2, 3, 4]), (12, [3, 4, 6, 9]), (24, [6, 8, 12, 18])],
)
def test_students_keep_a_quarter_to_three_of_the_layers(layers: int, expected: Any) -> None:
    assert fewer_layers(layers) == (
        {"choice": expected} if isinstance(expected, list) else expected
    )
