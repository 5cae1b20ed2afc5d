"""Splits under new numbers are what the cut tokenizer makes of their texts, to the last token."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kdray.data import rereading
from kdray.data.base import Examples
from kdray.data.rereading import cut_and_reread
from kdray.data.texts import compact
from kdray.data.tokenizing import encode, train_tokenizer
from kdray.pruning.vocabulary import Vocabulary
from tests import tokenizers

BANGLA = Path(__file__).parents[3] / "shared" / "data" / "bangla_cyberbully"
PAIRS = tuple(zip(tokenizers.TEXTS[:60], tokenizers.TEXTS[60:120], strict=True))


class Splits:
    """Two splits, the tokens that the first of them uses, and a tokenizer cut to these."""

    def __init__(self, words: Any, train: Sequence[Any], other: Sequence[Any], length: int) -> None:
        self.words, self.length = words, length
        parts = {"train": train, "test": other}
        self.rows = {
            name: tuple(row if isinstance(row, tuple) else (row,) for row in part)
            for name, part in parts.items()
        }
        self.splits = {name: self.encoded(words, name) for name in self.rows}
        self.texts = {name: compact(part) for name, part in self.rows.items()}

    def encoded(self, words: Any, name: str) -> Any:
        """A split, tokenised."""
        rows = self.rows[name]
        return encode(words, Examples(rows, np.arange(len(rows))), self.length)

    def kept(self, ratio: float = 0.0) -> list[int]:
        """What stays of the tokens."""
        ids = self.splits["train"].columns["input_ids"].values
        counts = np.bincount(ids, minlength=len(self.words))
        return sorted(Vocabulary().kept_ids(self.words, counts, ratio))

    def check(self, ratio: float = 0.0) -> Any:
        """Checks every split against tokenising all of it, and returns the cut tokenizer."""
        kept = self.kept(ratio)
        cut, found = cut_and_reread(self.words, kept, self.splits, self.texts, self.length)
        assert len(cut) == len(kept)
        for name in self.rows:
            assert_same(found[name], self.encoded(cut, name))
        return cut


def assert_same(one: Any, other: Any) -> None:
    assert one.columns.keys() == other.columns.keys()
    for name, column in one.columns.items():
        same = other.columns[name]
        assert np.array_equal(column.values, same.values), name
        assert np.array_equal(column.offsets, same.offsets), name
        assert (column.pad, column.values.dtype) == (same.pad, same.values.dtype)
    assert np.array_equal(one.lengths, other.lengths)
    assert np.array_equal(one.targets, other.targets)
    assert (one.mask, one.labelled) == (other.mask, other.labelled)


@pytest.mark.parametrize("length", [12, 64])
@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("kind", tokenizers.ALL)
def test_new_numbers_are_what_the_cut_tokenizer_reads(kind: str, ratio: float, length: int) -> None:
    words, texts = tokenizers.ALL[kind](), tokenizers.TEXTS
    Splits(words, texts[:200], [*texts[200:], "Ωmega ☃ zzqx", ""], length).check(ratio)


@pytest.mark.parametrize("kind", ["bert", "roberta", "albert"])
def test_pairs_of_texts_are_read_as_pairs_too(kind: str) -> None:
    Splits(tokenizers.ALL[kind](), PAIRS[:40], PAIRS[40:], 24).check()


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_real_texts_under_new_numbers_are_what_the_cut_tokenizer_reads(kind: str) -> None:
    if not BANGLA.is_dir():
        pytest.skip(f"needs the data set in {BANGLA}; it is not part of kdray")
    train, other = (list(pd.read_csv(BANGLA / f"{n}.csv")["text"]) for n in ("train", "validation"))
    both = [*train, *other]
    made = {
        "wordpiece": lambda: train_tokenizer(both, 8000, 128),
        "bpe": lambda: tokenizers.learnt_bytes(both, 6000),
        "unigram": lambda: tokenizers.learnt_pieces(both, 4000),
    }
    splits = Splits(made[kind](), train[:4000], other, 64)
    splits.check()
    splits.check(0.2)


def test_only_what_new_numbers_do_not_tell_is_tokenised_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = tokenizers.TEXTS[:100]
    splits, read = Splits(tokenizers.kdrays(), texts, [*texts[:3], "Ωmega"], 64), list[str]()

    def counted(words: Any, examples: Examples, length: int) -> Any:
        read.extend(text for (text,) in examples.texts)
        return encode(words, examples, length)

    monkeypatch.setattr(rereading, "encode", counted)
    monkeypatch.setattr(rereading, "_LAST", {})
    cut_and_reread(splits.words, splits.kept(), splits.splits, splits.texts, 64)
    assert read == ["Ωmega"]


def test_the_same_cut_of_the_same_texts_is_made_once_in_a_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    splits, cuts = Splits(tokenizers.kdrays(), tokenizers.FEW, tokenizers.FEW, 64), list[int]()
    cut = rereading.cut_tokenizer

    def counted(words: Any, kept: Sequence[int]) -> Any:
        cuts.append(len(kept))
        return cut(words, kept)

    monkeypatch.setattr(rereading, "cut_tokenizer", counted)
    monkeypatch.setattr(rereading, "_LAST", {})
    for ratio in (0.0, 0.0, 0.5, 0.5):
        splits.check(ratio)
    assert len(cuts) == 2
    other = Splits(tokenizers.word_pieces("BertTokenizer"), tokenizers.FEW, tokenizers.FEW, 64)
    other.check(0.5)
    assert len(cuts) == 3
