"""Cutting a tokenizer of the `tokenizers` library down to some of its tokens.

Its pipeline (normalizer, splitting, templates, added tokens) stays. WordPiece, BPE and Unigram
read a text as before as long as no token goes that they used for it: WordPiece takes the longest
token, BPE the first merge, Unigram the best score, and none of the three changes with the absence
of what was not taken. There are two exceptions. The score that Unigram gives to what it does not
know depends on the lowest score of all, so that token stays. And WordPiece may find a way through a
word that it did not know, once a token is gone that led it astray: who cuts has to look.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

KINDS = ("WordPiece", "BPE", "Unigram")
Counts = npt.NDArray[np.int64]


def backend_of(tokenizer: Any) -> dict[str, Any]:
    """Returns what a tokenizer consists of, as plain values.

    Raises:
        ValueError: If it is of a kind that cannot be cut.
    """
    if not tokenizer.is_fast:
        raise ValueError(
            f"{type(tokenizer).__name__} is not of the library tokenizers: it has no "
            "vocabulary that could be cut"
        )
    backend: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    kind = backend["model"]["type"]
    if kind not in KINDS:
        raise ValueError(f"a {kind} tokenizer cannot be cut; those of {', '.join(KINDS)} can")
    return backend


def token_ids(model: Mapping[str, Any]) -> dict[str, int]:
    """Returns the id of each token of a tokenizer's model, added tokens left out."""
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):
        return {token: place for place, (token, _) in enumerate(vocabulary)}
    return dict(vocabulary)


def fixed_ids(backend: Mapping[str, Any], used: Collection[int]) -> set[int]:
    """Returns the tokens that stay whatever goes.

    Those are the added and special ones and the unknown one, the single characters of which the
    used tokens consist (at the start of a word and within), so that no word of known letters
    becomes unknown, used tokens that these cannot spell, and all bytes where texts are read as
    bytes.

    Args:
        backend: From `backend_of`.
        used: Ids of the tokens that texts use.
    """
    model = backend["model"]
    ids = token_ids(model)
    marks = _marks(model)
    fixed = {token["id"] for token in backend["added_tokens"]}
    names = {model.get("unk_token"), *_bytes(backend)}
    if isinstance(model["vocab"], list):
        names |= {min(model["vocab"], key=lambda piece: piece[1])[0]}
        fixed |= set() if model["unk_id"] is None else {model["unk_id"]}
    for token in [token for token, place in ids.items() if place in used]:
        spelling = _spelling(token, *marks)
        names |= {form for letter in _bare(token, *marks) for form in _forms(letter, *marks)}
        names |= set() if all(piece in ids for piece in spelling) else {token}
    return fixed | {ids[name] for name in names if name in ids}


def with_parts(backend: Mapping[str, Any], counts: Counts) -> Counts:
    """Returns counts in which a token of BPE counts at least as much as any that is made of it.

    Args:
        backend: From `backend_of`.
        counts: How often texts use each token, by its id.
    """
    ids, found = token_ids(backend["model"]), counts.tolist()
    merges = [(ids[w], ids[a], ids[b]) for w, a, b in _merges(backend["model"]) if w in ids]
    rising = True
    while rising:  # mostly once and again: a part is made before the whole
        rising = False
        for whole, *parts in reversed(merges):
            for part in parts:
                if found[part] < found[whole]:
                    found[part], rising = found[whole], True
    return np.asarray(found, np.int64)


def token_lengths(backend: Mapping[str, Any]) -> dict[int, int]:
    """Returns how many characters each token has, marks (`##`, `</w>`) left out, by its id."""
    model = backend["model"]
    return {place: len(_bare(token, *_marks(model))) for token, place in token_ids(model).items()}


def cut_tokenizer(tokenizer: Any, kept: Sequence[int]) -> Any:
    """Returns a tokenizer of the same class that knows only some of the tokens.

    Args:
        tokenizer: It is not changed.
        kept: Ids of the tokens to keep, each at its new id; those that a merge of BPE needs and
            those of `fixed_ids` must be among them.

    Raises:
        ValueError: If its class does not let itself be cut.
    """
    backend = _cut(backend_of(tokenizer), {old: new for new, old in enumerate(kept)})
    with TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        text = json.dumps(backend, ensure_ascii=False)
        Path(folder, "tokenizer.json").write_text(text, encoding="utf-8")
        cut = type(tokenizer).from_pretrained(folder)
    cut.name_or_path = tokenizer.name_or_path
    names = tokenizer.convert_ids_to_tokens(list(kept))
    if cut.get_vocab() != {name: place for place, name in enumerate(names)}:
        raise ValueError(f"the vocabulary of a {type(tokenizer).__name__} cannot be cut")
    return cut


def _cut(backend: dict[str, Any], ids: Mapping[int, int]) -> dict[str, Any]:
    model = dict(backend["model"])
    if isinstance(model["vocab"], list):
        pieces = [(ids[old], piece) for old, piece in enumerate(model["vocab"]) if old in ids]
        model["vocab"] = [piece for _, piece in sorted(pieces, key=lambda pair: pair[0])]
        model["unk_id"] = ids.get(model["unk_id"])
    else:
        model["vocab"] = {name: ids[old] for name, old in model["vocab"].items() if old in ids}
    if "merges" in model:
        known = model["vocab"]
        merges = zip(_merges(model), model["merges"], strict=True)
        model["merges"] = [m for names, m in merges if all(name in known for name in names)]
    added = [token | {"id": ids[token["id"]]} for token in backend["added_tokens"]]
    padding = backend["padding"]
    return backend | {
        "model": model,
        "added_tokens": sorted(added, key=lambda token: token["id"]),
        "post_processor": _renumbered(backend["post_processor"], ids),
        "padding": padding and padding | {"pad_id": ids[padding["pad_id"]]},
    }


def _renumbered(processor: Any, ids: Mapping[int, int]) -> Any:
    """Returns a post-processor with the new ids of the special tokens that it adds."""
    match processor:
        case {"type": "Sequence", "processors": parts}:
            return processor | {"processors": [_renumbered(part, ids) for part in parts]}
        case {"type": "TemplateProcessing", "special_tokens": tokens}:
            new = {
                name: token | {"ids": [ids[old] for old in token["ids"]]}
                for name, token in tokens.items()
            }
            return processor | {"special_tokens": new}
        case {"cls": [cls, cls_id], "sep": [sep, sep_id]}:
            return processor | {"cls": [cls, ids[cls_id]], "sep": [sep, ids[sep_id]]}
    return processor


def _merges(model: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yields each merge of BPE: what it makes, and of which two."""
    marked = len(_marks(model)[0])
    for first, second in model.get("merges", ()):
        yield first + second[marked:], first, second


def _bytes(backend: Mapping[str, Any]) -> set[str]:
    """Returns the tokens of single bytes, where texts are read as bytes."""
    from tokenizers.pre_tokenizers import ByteLevel

    pipeline = json.dumps([backend["normalizer"], backend["pre_tokenizer"]])
    names = set(ByteLevel.alphabet()) if '"ByteLevel"' in pipeline else set()
    if backend["model"].get("byte_fallback"):
        names |= {f"<0x{byte:02X}>" for byte in range(256)}
    return names


def _marks(model: Mapping[str, Any]) -> tuple[str, str]:
    """Returns what marks the middle of a word in front of a token, and its end behind one."""
    return model.get("continuing_subword_prefix") or "", model.get("end_of_word_suffix") or ""


def _bare(token: str, prefix: str, suffix: str) -> str:
    return token.removeprefix(prefix).removesuffix(suffix) or token


def _spelling(token: str, prefix: str, suffix: str) -> list[str]:
    """Returns the single-character pieces that a token falls back to."""
    letters = _bare(token, prefix, suffix)
    pieces = [prefix + letter for letter in letters]
    if not (prefix and token.startswith(prefix)):
        pieces[0] = letters[0]
    if suffix and token.endswith(suffix):
        pieces[-1] += suffix
    return pieces


def _forms(letter: str, prefix: str, suffix: str) -> set[str]:
    return {letter, prefix + letter, letter + suffix, prefix + letter + suffix}
