from dataclasses import replace

import numpy as np
import pytest
import torch
from tokenizers import models

from kdray.data.vocabulary import backend_of, fixed_ids, with_parts
from kdray.pruning.vocabulary import Vocabulary
from tests import tokenizers
from tests.pruning.vocabularies import LENGTH, ids, logits, prune, student

KINDS = list(tokenizers.ALL)


def hand_made():
    """a 4, b 1, ab 3, abb 1, ##b 2 times; cab, c and ##z never."""
    names = ("[PAD]", "[UNK]", "c", "a", "b", "##a", "##b", "##z", "cab", "ab", "abb", "aab")
    words = tokenizers.by_hand(models.WordPiece(tokenizers.numbered(*names), unk_token="[UNK]"))
    return student(words=words, texts=("a a a a ab ab ab", "b abb abbb", "aab aab"))


def left(pruned):
    return set(pruned.tokenizer.get_vocab())


def test_tokens_that_no_training_text_uses_go_by_hand():
    pruned = prune(hand_made())
    used = {"a", "b", "##a", "##b", "ab", "abb", "aab"}
    assert left(pruned) == {"[PAD]", "[UNK]"} | used


@pytest.mark.parametrize(
    ("ratio", "gone"),
    [
        (0.1, set()),
        (0.4, {"aab"}),  # abb and aab are used twice: the later one of equal length goes first
        (0.6, {"aab", "abb"}),
        (0.9, {"aab", "abb", "ab"}),
    ],
)
def test_the_rarest_go_first_and_letters_stay_by_hand(ratio, gone):
    # Three may go: ab, abb and aab. Of those round(3 · ratio) do.
    whole = prune(hand_made())
    assert left(prune(hand_made(), ratio=ratio)) == left(whole) - gone


def test_words_of_rare_tokens_fall_back_to_smaller_pieces_by_hand():
    pruned = prune(hand_made(), ratio=0.6)
    assert pruned.tokenizer.tokenize("abb aab") == ["ab", "##b", "a", "##a", "##b"]
    row = ids(pruned.splits["train"]).padded(np.array([1]), 6)[0]
    assert pruned.tokenizer.convert_ids_to_tokens(row) == ["b", "ab", "##b", "ab", "##b", "##b"]


def test_what_occurs_often_enough_stays_whatever_the_ratio_by_hand():
    pruned = prune(hand_made(), ratio=0.9, importance_threshold=2)
    assert left(prune(hand_made())) - left(pruned) == {"aab", "abb"}


def test_a_ratio_is_refused_where_every_used_token_must_stay():
    words = tokenizers.by_hand(
        models.WordPiece(tokenizers.numbered("[PAD]", "[UNK]", "a"), unk_token="[UNK]")
    )
    made = student(words=words, texts=("a a", "a"), more=("a",))
    with pytest.raises(ValueError, match=r"pruning\.ratio is 0\.5, but every used token must stay"):
        prune(made, ratio=0.5)


@pytest.mark.parametrize("ratio", [0.0, 0.2, 0.5, 0.8, 0.99])
@pytest.mark.parametrize("kind", KINDS)
def test_the_ratio_is_reached_within_one(kind, ratio):
    made = student(kind)
    backend = backend_of(made.tokenizer)
    counts = np.bincount(ids(made.splits["train"]).values, minlength=len(made.tokenizer))
    used = set(np.flatnonzero(with_parts(backend, counts)).tolist())
    may_go = used - fixed_ids(backend, used)
    assert len(may_go) > 40
    kept = Vocabulary().kept_ids(made.tokenizer, counts, ratio)
    assert abs(len(may_go - kept) - ratio * len(may_go)) <= 1
    assert (used - may_go) <= kept


@pytest.mark.parametrize("kind", KINDS)
def test_special_and_added_tokens_stay(kind):
    made = student(kind)
    pruned = prune(made, ratio=0.9)
    assert {*made.tokenizer.all_special_tokens, *made.tokenizer.get_added_vocab()} <= left(pruned)
    assert pruned.tokenizer.special_tokens_map == made.tokenizer.special_tokens_map


@pytest.mark.parametrize("ratio", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("kind", KINDS)
def test_no_training_text_gets_an_unknown_token(kind, ratio):
    made = student(kind)
    pruned = prune(made, ratio=ratio)
    before, after = ids(made.splits["train"]).values, ids(pruned.splits["train"]).values
    assert (after == pruned.tokenizer.unk_token_id).sum() == 0
    assert (before == made.tokenizer.unk_token_id).sum() == 0
    assert len(after) > len(before)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_ratio_training_texts_have_the_same_tokens_under_new_numbers(kind):
    made = student(kind)
    pruned = prune(made)
    assert len(pruned.tokenizer) < len(made.tokenizer)
    before, after = made.splits["train"], pruned.splits["train"]
    assert np.array_equal(ids(before).offsets, ids(after).offsets)
    assert np.array_equal(after.targets, before.targets)
    assert made.tokenizer.convert_ids_to_tokens(
        ids(before).values.tolist()
    ) == pruned.tokenizer.convert_ids_to_tokens(ids(after).values.tolist())


@pytest.mark.parametrize("ratio", [0.0, 0.5])
@pytest.mark.parametrize("kind", KINDS)
def test_the_other_splits_are_tokenised_again(kind, ratio):
    pruned = prune(student(kind), ratio=ratio)
    texts = [text for (text,) in pruned.texts["validation"].rows()]
    expected = pruned.tokenizer(texts, truncation=True, max_length=LENGTH)["input_ids"]
    for name in ("validation", "test"):
        part = pruned.splits[name]
        found = part.arrays(np.arange(len(part)))["input_ids"]
        assert [row[:n].tolist() for row, n in zip(found, part.lengths, strict=True)] == expected


def test_pairs_of_texts_are_read_as_pairs():
    texts = tuple(zip(tokenizers.FEW[:20], tokenizers.FEW[20:40], strict=True))
    made = student(texts=texts, more=texts[:3])
    expected = logits(made.model, made.splits["train"])
    pruned = prune(made)
    assert torch.allclose(logits(pruned.model, pruned.splits["train"]), expected, 0, 1e-6)
    assert pruned.splits["test"].columns.keys() == {"input_ids", "token_type_ids"}
    assert prune(pruned, ratio=0.5).texts["train"].rows() == texts


def test_a_student_without_texts_is_refused():
    with pytest.raises(ValueError, match="needs the texts of the splits"):
        prune(replace(student(), texts=None))


def test_training_texts_that_would_be_read_differently_are_refused_by_hand():
    # "abd" is unknown, as "ab" leads astray; without "ab", which none uses, it is "a", "##bd".
    names = ("[PAD]", "[UNK]", "a", "ab", "x", "##bd", "##b", "##d2")
    words = tokenizers.by_hand(models.WordPiece(tokenizers.numbered(*names), unk_token="[UNK]"))
    made = student(words=words, texts=("abd", "a xbd"), more=("a",))
    with pytest.raises(ValueError, match="reads training texts differently"):
        prune(made)
