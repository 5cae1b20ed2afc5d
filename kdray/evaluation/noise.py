"""Typing noise: what texts look like when they are typed in a hurry, in any script.

A letter is what Unicode calls a letter or a mark: Bangla writes its vowels as marks. One that is
mistyped is swapped with a neighbour, left out, doubled, or replaced by another of its own script
and kind; there is no keyboard in it, because scripts have different ones.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from kdray.config.sections import Evaluation
from kdray.data.base import SPLITS, Examples
from kdray.waiting import each

NOISY = ("validation", "test")
_Texts = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Letters:
    """The letters of a data set.

    Attributes:
        kinds: Of each letter, its script and Unicode category: `("BENGALI", "Mc")`.
        alike: By kind, all letters of it, in the order of their code.
        shares: By kind, how often each of them is met, as a share of all of the kind.
    """

    kinds: Mapping[str, tuple[str, str]]
    alike: Mapping[tuple[str, str], tuple[str, ...]]
    shares: Mapping[tuple[str, str], tuple[float, ...]]


def with_noise(
    examples: Mapping[str, Examples], evaluation: Evaluation, seed: int
) -> dict[str, Examples]:
    """Returns the splits, and noisy copies of validation and test where they are asked for.

    Args:
        examples: The splits.
        evaluation: How students are measured.
        seed: Decides every typo.

    Returns:
        The same splits and, for a share of 0.05, `validation_noise_5` and `test_noise_5`, with the
        same targets.
    """
    if not evaluation.percents:
        return dict(examples)
    letters = letters_of(text for name in SPLITS for row in examples[name].texts for text in row)
    noisy = {}
    for percent, place in each("typing noise", [*product(evaluation.percents, range(len(NOISY)))]):
        name, share = NOISY[place], evaluation.percents[percent]
        texts = mistyped(examples[name].texts, letters, share, [seed, percent, place])
        noisy[f"{name}_noise_{percent}"] = Examples(texts, examples[name].targets)
    return {**examples, **noisy}


def letters_of(texts: Iterable[str]) -> Letters:
    """Returns the letters that texts are made of, with what may be typed instead of each."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    kinds = {char: _kind(char) for char in sorted(counts) if unicodedata.category(char)[0] in "LM"}
    alike: dict[tuple[str, str], list[str]] = {}
    for letter, kind in kinds.items():
        alike.setdefault(kind, []).append(letter)
    shares = {}
    for kind, letters in alike.items():
        total = sum(counts[letter] for letter in letters)
        shares[kind] = tuple(counts[letter] / total for letter in letters)
    return Letters(kinds, {kind: tuple(found) for kind, found in alike.items()}, shares)


def mistyped(texts: _Texts, letters: Letters, share: float, seed: int | list[int]) -> _Texts:
    """Returns texts with typos.

    Each text has `share` times as many typos as it has letters, each at another letter; what is no
    whole number is rounded up or down at random, so that the share holds over all of them. A text
    never becomes empty: it rather stays as it is.

    Args:
        texts: One tuple of texts an example.
        letters: Of the data set.
        share: Of the letters, in [0, 1].
        seed: Decides every typo.
    """
    rng = np.random.default_rng(seed)
    return tuple(tuple(_mistyped(text, letters, share, rng) for text in row) for row in texts)


def _mistyped(text: str, letters: Letters, share: float, rng: np.random.Generator) -> str:
    places = [place for place, char in enumerate(text) if char in letters.kinds]
    count = int(len(places) * share + rng.random())
    chosen = sorted(int(place) for place in rng.permutation(places)[:count])
    cells = list(text)
    for place in chosen:
        letter, after = text[place], text[place + 1 : place + 2]
        kind = rng.integers(4)
        if kind == 0:
            cells[place] = ""
        elif kind == 1 and after in letters.kinds and after != letter and place + 1 not in chosen:
            cells[place], cells[place + 1] = cells[place + 1], cells[place]
        elif kind == 2:
            cells[place] = _other(letter, letters, rng)
        else:
            cells[place] = letter * 2
    noisy = "".join(cells)
    return noisy if noisy.strip() else text


def _other(letter: str, letters: Letters, rng: np.random.Generator) -> str:
    """Returns another letter of its kind, drawn as often as it is met; two of it if it is alone."""
    kind = letters.kinds[letter]
    found, shares = letters.alike[kind], np.array(letters.shares[kind])
    shares[found.index(letter)] = 0.0
    return str(rng.choice(found, p=shares / shares.sum())) if shares.any() else letter * 2


def _kind(char: str) -> tuple[str, str]:
    # A character's name opens with its script: BENGALI VOWEL SIGN AA, LATIN SMALL LETTER A.
    return unicodedata.name(char, "").partition(" ")[0], unicodedata.category(char)
