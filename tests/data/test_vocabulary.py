import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import models, pre_tokenizers

from kdray.data.vocabulary import (
    backend_of,
    cut_tokenizer,
    fixed_ids,
    token_ids,
    token_lengths,
    with_parts,
)
from tests import tokenizers

KINDS = list(tokenizers.ALL)
UNSEEN = (*tokenizers.TEXTS[200:230], "a word of Ärger ☃", "")
PAIRS = tuple(zip(tokenizers.FEW[:10], tokenizers.FEW[10:20], strict=True))

# Runs in a new process: what the tokenizers in folders make of texts.
NEW_PROCESS = """
import json, sys
from transformers import AutoTokenizer
texts, answers = json.loads(sys.stdin.read()), {}
for folder in sys.argv[1:]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    answers[folder] = [tokenizer(texts)["input_ids"], tokenizer.get_vocab(), len(tokenizer),
                       type(tokenizer).__name__, tokenizer.model_max_length]
assert "kdray" not in sys.modules
print(json.dumps(answers))
"""


def used_by(tokenizer: Any, texts: Sequence[Any]) -> list[int]:
    return sorted({token for row in tokenizer(list(texts))["input_ids"] for token in row})


def unused_left_out(tokenizer: Any, texts: Sequence[Any]) -> list[int]:
    """Returns what must be kept so that the texts are read as before."""
    backend = backend_of(tokenizer)
    counts = np.bincount(used_by(tokenizer, texts), minlength=len(tokenizer))
    needed = set(np.flatnonzero(with_parts(backend, counts)).tolist())
    return sorted(needed | fixed_ids(backend, needed))


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest) -> tuple[Any, Any, list[int]]:
    """A tokenizer of each kind, what is left of it for a few texts, and what was kept."""
    whole = tokenizers.ALL[request.param]()
    kept = unused_left_out(whole, tokenizers.FEW)
    return whole, cut_tokenizer(whole, kept), kept


def test_something_is_left_out(pair: tuple[Any, Any, list[int]]) -> None:
    whole, cut, kept = pair
    assert len(cut) == len(kept) < 0.9 * len(whole)


@pytest.mark.parametrize("texts", [tokenizers.FEW, PAIRS], ids=["texts", "pairs"])
def test_texts_whose_tokens_are_kept_are_read_as_before_under_new_numbers(
    pair: tuple[Any, Any, list[int]], texts: Any
) -> None:
    whole, cut, kept = pair
    columns = [list(column) for column in zip(*texts, strict=True)] if texts is PAIRS else [texts]
    before, after = whole(*map(list, columns)), cut(*map(list, columns))
    assert [[kept[token] for token in row] for row in after["input_ids"]] == before["input_ids"]
    assert after.keys() == before.keys()
    assert after.get("token_type_ids") == before.get("token_type_ids")


def test_all_that_is_not_the_vocabulary_stays(pair: tuple[Any, Any, list[int]]) -> None:
    whole, cut, _ = pair
    assert type(cut) is type(whole)
    assert cut.special_tokens_map == whole.special_tokens_map
    assert cut.model_max_length == whole.model_max_length == tokenizers.LENGTH
    assert cut.name_or_path == whole.name_or_path
    first, second = backend_of(whole), backend_of(cut)
    for part in ("normalizer", "pre_tokenizer", "decoder"):
        assert first[part] == second[part]
    names = [[token["content"] for token in one["added_tokens"]] for one in (first, second)]
    assert names[0] == names[1]


def test_what_was_cut_is_not_changed(pair: tuple[Any, Any, list[int]]) -> None:
    whole, _, kept = pair
    before = whole.get_vocab()
    cut_tokenizer(whole, kept)
    assert whole.get_vocab() == before


def test_no_word_of_known_letters_becomes_unknown(pair: tuple[Any, Any, list[int]]) -> None:
    whole, cut, _ = pair
    known = set("".join(tokenizers.FEW))
    texts = [text for text in tokenizers.TEXTS if known.issuperset(text)]
    assert len(texts) > 2 * len(tokenizers.FEW)
    unknown = whole.unk_token_id
    had = sum(row.count(unknown) for row in whole(texts)["input_ids"])
    has = sum(row.count(cut.unk_token_id) for row in cut(texts)["input_ids"])
    assert has == had == 0


def test_it_can_be_cut_again(pair: tuple[Any, Any, list[int]]) -> None:
    _, cut, _ = pair
    fewer = unused_left_out(cut, tokenizers.FEW[:5])
    again = cut_tokenizer(cut, fewer)
    before = cut(list(tokenizers.FEW[:5]))["input_ids"]
    after = again(list(tokenizers.FEW[:5]))["input_ids"]
    assert [[fewer[token] for token in row] for row in after] == before


def test_a_new_process_without_kdray_reads_texts_alike(tmp_path: Path) -> None:
    made: dict[str, Any] = {}
    for kind in KINDS:
        whole = tokenizers.ALL[kind]()
        made[str(tmp_path / kind)] = cut_tokenizer(whole, unused_left_out(whole, tokenizers.FEW))
        made[str(tmp_path / kind)].save_pretrained(tmp_path / kind)
    texts = [*tokenizers.FEW, *UNSEEN]
    done = subprocess.run(
        [sys.executable, "-c", NEW_PROCESS, *made],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    for folder, (ids, vocabulary, length, _, longest) in json.loads(done.stdout).items():
        assert ids == made[folder](texts)["input_ids"]
        assert vocabulary == made[folder].get_vocab()
        assert length == len(made[folder])
        assert longest == tokenizers.LENGTH


def named(tokenizer: Any, ids: Any) -> set[str]:
    return set(tokenizer.convert_ids_to_tokens(sorted(ids)))


def test_the_letters_of_used_word_pieces_stay_by_hand() -> None:
    names = ("[PAD]", "[UNK]", "a", "b", "z", "##a", "##b", "##z", "ab", "##ba", "axe", "zz")
    tokenizer = tokenizers.by_hand(models.WordPiece(tokenizers.numbered(*names), unk_token="[UNK]"))
    ids = token_ids(backend_of(tokenizer)["model"])
    fixed = fixed_ids(backend_of(tokenizer), {ids["ab"], ids["##ba"], ids["axe"]})
    # x and e are not there, so that axe could not be spelled; nothing used has a z.
    assert named(tokenizer, fixed) == {"[PAD]", "[UNK]", "a", "b", "##a", "##b", "axe"}


def test_a_part_of_a_merge_counts_as_much_as_the_whole_by_hand() -> None:
    names = ("[PAD]", "[UNK]", "a", "b", "c", "ab", "abc", "bc", "ca")
    merges = [("a", "b"), ("ab", "c"), ("b", "c"), ("c", "a")]
    tokenizer = tokenizers.by_hand(
        models.BPE(tokenizers.numbered(*names), merges, unk_token="[UNK]")
    )
    counts = np.array([0, 0, 1, 0, 0, 0, 3, 0, 2])
    found = with_parts(backend_of(tokenizer), counts)
    # abc is made of ab and c, ab of a and b; ca of c and a; bc is nobody's part.
    assert found.tolist() == [0, 0, 3, 3, 3, 3, 3, 0, 2]


def test_merges_of_what_is_gone_are_gone_and_others_stay_in_order() -> None:
    names = ("[PAD]", "[UNK]", "a", "b", "c", "ab", "abc", "bc")
    merges = [("b", "c"), ("a", "b"), ("ab", "c")]
    tokenizer = tokenizers.by_hand(
        models.BPE(tokenizers.numbered(*names), merges, unk_token="[UNK]")
    )
    assert tokenizer.tokenize("abc") == ["a", "bc"]
    cut = cut_tokenizer(tokenizer, [0, 1, 2, 3, 4, 5, 6])
    assert backend_of(cut)["model"]["merges"] == [["a", "b"], ["ab", "c"]]
    assert cut.tokenize("abc") == ["abc"]


def test_marks_do_not_count_as_characters() -> None:
    names = ("[PAD]", "[UNK]", "ab", "##abc", "##")
    tokenizer = tokenizers.by_hand(models.WordPiece(tokenizers.numbered(*names), unk_token="[UNK]"))
    lengths = token_lengths(backend_of(tokenizer))
    assert [lengths[place] for place in (2, 3, 4)] == [2, 3, 2]


def test_all_bytes_stay() -> None:
    tokenizer = tokenizers.bytes_merged()
    fixed = named(tokenizer, fixed_ids(backend_of(tokenizer), set()))
    assert fixed == {*pre_tokenizers.ByteLevel.alphabet(), *tokenizers.ROBERTA, "@user"}


def test_the_lowest_score_stays_because_what_is_unknown_is_scored_by_it() -> None:
    scores = {"[UNK]": 0.0, "[PAD]": 0.0, "c": -12.0, "ab": -12.0, "bc": -1.0, "low": -15.0}
    tokenizer = tokenizers.by_hand(models.Unigram(list(scores.items()), unk_id=0))
    # Unknown is 10 below the lowest score: ab c is -24, and a bc, a being unknown, -25 - 1.
    assert tokenizer.tokenize("abc") == ["ab", "c"]
    fixed = fixed_ids(backend_of(tokenizer), {2, 3})
    assert named(tokenizer, fixed) == {"[UNK]", "[PAD]", "c", "ab", "low"}
    # Without the lowest, a bc would be -22 - 1.
    assert cut_tokenizer(tokenizer, [0, 1, 2, 3, 4]).tokenize("abc") == ["a", "bc"]
    assert cut_tokenizer(tokenizer, [0, 1, 2, 3, 4, 5]).tokenize("abc") == ["ab", "c"]


def test_what_is_unknown_is_found_at_its_new_number() -> None:
    scores = {"x": -1.0, "[UNK]": 0.0, "[PAD]": 0.0, "y": -2.0}
    tokenizer = tokenizers.by_hand(models.Unigram(list(scores.items()), unk_id=1))
    cut = cut_tokenizer(tokenizer, [1, 2, 3])
    assert cut("x y")["input_ids"] == [0, 2]


def test_added_tokens_may_change_places() -> None:
    vocabulary = tokenizers.numbered("a", "b", "[UNK]")
    tokenizer = tokenizers.by_hand(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.add_special_tokens({"sep_token": "[SEP]"})
    cut = cut_tokenizer(tokenizer, [0, 2, 4, 3])
    assert cut.convert_ids_to_tokens(range(4)) == ["a", "[UNK]", "[SEP]", "[PAD]"]
    assert cut("a b [SEP]")["input_ids"] == [0, 1, 2]


def test_unigram_is_numbered_in_the_order_that_is_asked_for() -> None:
    tokenizer = tokenizers.ALL["albert"]()
    kept = unused_left_out(tokenizer, tokenizers.FEW)
    order = [*kept[:5], *reversed(kept[5:])]
    cut = cut_tokenizer(tokenizer, order)
    assert cut.convert_ids_to_tokens(range(len(cut))) == tokenizer.convert_ids_to_tokens(order)


def test_a_tokenizer_of_whole_words_is_refused() -> None:
    tokenizer = tokenizers.by_hand(
        models.WordLevel(tokenizers.numbered("[PAD]", "[UNK]", "a"), unk_token="[UNK]")
    )
    with pytest.raises(ValueError, match="WordLevel tokenizer cannot be cut; those of WordPiece"):
        backend_of(tokenizer)


def test_a_tokenizer_in_python_is_refused() -> None:
    from transformers import CanineTokenizer

    with pytest.raises(ValueError, match="CanineTokenizer is not of the library tokenizers"):
        backend_of(CanineTokenizer())
