from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdray.data.base import Examples
from kdray.data.tokenizing import SPECIAL_TOKENS, encode, train_tokenizer

TEXTS = [
    "ভালো মানুষটাকে দেখি",
    "মানুষটাকে ভালো লাগে না",
    "খারাপ কথা বলো না",
    "Hello world, this is text",
    "This text is longer than the other text",
]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(TEXTS * 3, vocabulary_size=300, max_length=16)


def examples(*texts: tuple[str, ...]) -> Examples:
    return Examples(texts, np.zeros(len(texts), np.int64))


def round_trip(tokenizer: Any, text: str) -> str:
    return str(tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True))


@pytest.mark.parametrize("text", ["ভালো", "মানুষটাকে", *TEXTS[:3]])
def test_vowel_signs_of_bangla_survive(tokenizer: Any, text: str) -> None:
    assert round_trip(tokenizer, text) == text


def test_a_word_that_is_cut_into_pieces_is_put_together_again() -> None:
    pieces = train_tokenizer(TEXTS, vocabulary_size=50, max_length=64)
    assert len(pieces.tokenize("মানুষটাকে")) > 1
    assert round_trip(pieces, "মানুষটাকে") == "মানুষটাকে"


def test_letters_are_lower_cased(tokenizer: Any) -> None:
    assert round_trip(tokenizer, "HELLO World") == "hello world"


def test_a_stored_tokenizer_is_the_same_in_auto_tokenizer(tokenizer: Any, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert loaded.model_max_length == 16
    for text in (*TEXTS, "মানুষটাকে"):
        assert dict(loaded(text)) == dict(tokenizer(text))
        assert round_trip(loaded, text) == round_trip(tokenizer, text)


def test_the_same_texts_give_the_same_tokenizer(tokenizer: Any) -> None:
    again = [train_tokenizer(iter(TEXTS * 3), 300, 16).get_vocab() for _ in range(3)]
    assert all(vocabulary == tokenizer.get_vocab() for vocabulary in again)


def test_the_special_tokens_of_bert_are_there(tokenizer: Any) -> None:
    assert tokenizer.convert_ids_to_tokens(range(5)) == list(SPECIAL_TOKENS)
    assert tokenizer.pad_token_id == 0
    assert tokenizer.tokenize("☃") == ["[UNK]"]


def test_examples_are_encoded_with_their_lengths_and_targets(tokenizer: Any) -> None:
    data = encode(tokenizer, examples(("hello world",), ("ভালো",)), 16)
    arrays = data.arrays(np.array([0, 1]))
    assert arrays.keys() == {"input_ids", "attention_mask"}
    assert data.lengths.tolist() == [4, 3]
    first, second = (tokenizer.convert_ids_to_tokens(row) for row in arrays["input_ids"])
    assert first == ["[CLS]", "hello", "world", "[SEP]"]
    assert second == ["[CLS]", "ভালো", "[SEP]", "[PAD]"]
    assert arrays["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert data.targets.tolist() == [0, 0]


def test_the_two_texts_of_a_pair_have_different_token_types(tokenizer: Any) -> None:
    data = encode(tokenizer, examples(("hello world", "this"), ("text", "text")), 16)
    arrays = data.arrays(np.array([0, 1]))
    assert arrays["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 0]]
    tokens = tokenizer.convert_ids_to_tokens(arrays["input_ids"][0])
    assert tokens == ["[CLS]", "hello", "world", "[SEP]", "this", "[SEP]"]


@pytest.mark.parametrize("pair", [("text " * 50,), ("text " * 50, "hello"), ("hello", "text " * 9)])
def test_what_is_too_long_is_cut_and_keeps_its_end(tokenizer: Any, pair: tuple[str, ...]) -> None:
    data = encode(tokenizer, examples(pair), 8)
    (row,) = data.arrays(np.array([0]))["input_ids"]
    tokens = tokenizer.convert_ids_to_tokens(row)
    assert data.lengths.tolist() == [8]
    assert tokens[0] == "[CLS]"
    assert tokens[-1] == "[SEP]"
    assert tokens.count("[SEP]") == len(pair)


def test_a_word_without_an_end_is_not_learnt_from() -> None:
    endless = "ab" * 150_000
    with_it = train_tokenizer([*TEXTS, f"{endless} text"], 300, 16)
    assert with_it.get_vocab() == train_tokenizer([*TEXTS, "text"], 300, 16).get_vocab()
    assert with_it.tokenize(f"{endless} text") == ["[UNK]", "text"]
