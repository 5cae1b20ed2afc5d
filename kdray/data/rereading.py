"""Splits as a cut tokenizer reads them: new numbers for the tokens that stay.

A text is tokenised again only where its tokens do not tell what the cut tokenizer makes of it: one
of them is gone, a word is unknown (the cut may have opened a way through it), or the text is cut at
`max_length`, perhaps within a word. `vocabulary` says why the others are read as before.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from kdray.data.base import Examples
from kdray.data.dataset import Dataset, Ragged
from kdray.data.texts import Texts
from kdray.data.tokenizing import encode
from kdray.data.vocabulary import cut_tokenizer

GONE = -1
_Flags = npt.NDArray[np.bool_]
# What the last trial of this worker made, as most cut the same tokens: a key, tokenizer and splits.
_LAST: dict[str, tuple[Any, dict[str, Dataset]]] = {}


def cut_and_reread(
    tokenizer: Any,
    kept: Sequence[int],
    splits: Mapping[str, Dataset],
    texts: Mapping[str, Texts],
    max_length: int,
) -> tuple[Any, dict[str, Dataset]]:
    """Returns a cut tokenizer and the splits as it reads them; twice the same costs once.

    Args:
        tokenizer: It is not changed.
        kept: As `cut_tokenizer` takes them.
        splits: As the tokenizer reads them.
        texts: Of each of them.
        max_length: Tokens a text.

    Raises:
        ValueError: If the tokenizer cannot be cut.
    """
    key = _key(tokenizer, kept, splits, texts, max_length)
    if key not in _LAST:
        cut = cut_tokenizer(tokenizer, kept)
        numbers = _new_numbers(tokenizer, kept)
        found = {
            name: reread(splits[name], part, numbers, cut, max_length)
            for name, part in texts.items()
        }
        _LAST.clear()
        _LAST[key] = cut, found
    tokenizer, found = _LAST[key]
    return tokenizer, dict(found)


def reread(
    dataset: Dataset, texts: Texts, numbers: npt.NDArray[np.int32], tokenizer: Any, max_length: int
) -> Dataset:
    """Returns a split as a cut tokenizer reads it.

    Args:
        dataset: As the whole tokenizer reads it.
        texts: Its texts.
        numbers: The new number of each token; `GONE` for those that do not tell it.
        tokenizer: The cut one.
        max_length: Tokens a text.
    """
    old = dataset.columns["input_ids"]
    assert isinstance(old, Ragged), "texts are ragged"
    renumbered = replace(old, values=numbers[old.values], pad=tokenizer.pad_token_id or 0)
    rows = np.repeat(np.arange(len(dataset)), dataset.lengths)
    again = dataset.lengths >= max_length
    again[rows[renumbered.values == GONE]] = True
    columns = {**dataset.columns, "input_ids": renumbered}
    chosen = np.flatnonzero(again)
    if not len(chosen):
        return replace(dataset, columns=columns)
    targets: Any = dataset.targets[chosen]
    fresh = encode(tokenizer, Examples(texts.chosen(chosen), targets), max_length)
    columns = {name: _spliced(one, fresh.columns[name], again) for name, one in columns.items()}
    lengths = dataset.lengths.copy()
    lengths[again] = fresh.lengths
    return replace(dataset, columns=columns, lengths=lengths)


def _new_numbers(tokenizer: Any, kept: Sequence[int]) -> npt.NDArray[np.int32]:
    last = max(*tokenizer.get_vocab().values(), *kept)
    numbers = np.full(last + 1, GONE, np.int32)
    numbers[list(kept)] = np.arange(len(kept))
    if tokenizer.unk_token_id is not None:
        numbers[tokenizer.unk_token_id] = GONE
    return numbers


def _spliced(old: Any, fresh: Any, again: _Flags) -> Ragged:
    """Returns ragged rows of which some, flagged, are those of another column."""
    lengths = old.lengths.copy()
    lengths[again] = fresh.lengths
    values = np.empty(int(lengths.sum()), old.values.dtype)
    is_fresh = np.repeat(again, lengths)
    values[is_fresh] = fresh.values
    values[~is_fresh] = old.values[np.repeat(~again, old.lengths)]
    return Ragged(values, np.concatenate([[0], np.cumsum(lengths)]), old.pad)


def _key(
    tokenizer: Any,
    kept: Sequence[int],
    splits: Mapping[str, Dataset],
    texts: Mapping[str, Texts],
    max_length: int,
) -> str:
    described = f"{type(tokenizer)} {tokenizer.special_tokens_map} {max_length} {list(splits)}"
    digest = hashlib.blake2b(described.encode())
    digest.update(tokenizer.backend_tokenizer.to_str().encode())
    digest.update(np.asarray(kept).tobytes())
    for name, part in texts.items():
        dataset = splits[name]
        arrays = (part.values, part.offsets, dataset.columns["input_ids"], dataset.targets)
        for array in arrays:
            plain = array.values if isinstance(array, Ragged) else array
            digest.update(np.ascontiguousarray(plain).data)
    return digest.hexdigest()
