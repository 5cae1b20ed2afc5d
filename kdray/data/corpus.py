"""Seeded synthetic corpus of short English multi-label comments.

Every comment joins two or three clauses. A clause binds a target (`you`, a thing, a shrine) to a
predicate (scorn, praise, romance, harm, an offer), possibly behind a cue such as `nobody thinks`.
A label holds only for the right target with the right predicate and no cue that cancels it, and
the other clauses reuse the same words in innocent bindings. The bag of words is therefore
ambiguous, so that depth and capacity of a model show up in its scores.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd

_Key = TypeVar("_Key")

LABELS: tuple[str, ...] = ("bully", "sexual", "religious", "threat", "spam")
NOISE_SHARE = 0.015
TYPO_SHARE = 0.015
EXTRA_CLAUSE_SHARE = 0.02
CUE_SHARE = 0.25
OPENER_SHARE = 0.06
CANCELLED_SHARE = 0.2
ADVERB_SHARE = 0.08
TAIL_POWER = 2.5


def _words(text: str) -> tuple[str, ...]:
    """Returns the space-separated words of a compact word list."""
    return tuple(text.split())


def _compounds(first: str, second: str) -> tuple[str, ...]:
    """Returns every joined pair, which gives a long tail of words from a short list."""
    return tuple(start + end for end in _words(second) for start in _words(first))


# Words in capitals inside a template name one of these slots; the head of each list is frequent
# and its tail rare.
SLOTS: dict[str, tuple[str, ...]] = {
    "YOU": ("you", "you", "u"),
    "ARE": _words("are look seem sound"),
    "IS": _words("is looks seems sounds"),
    "THE": _words("the this that"),
    "VERY": _words("so really rather quite truly very utterly totally simply plain fairly sooo"),
    "LINK": _words("and but while yet"),
    "NOW": _words("just please now"),
    "THEY": _words("we they others"),
    "NO": ("nobody thinks", "no one says", "hardly anyone says"),
    "YES": ("everybody thinks", "someone says", "almost anyone says"),
    "QUOTED": ("in the novel", "the lyrics went", "on stage i read"),
    "SCENE": ("in the morning", "the day went on", "on monday i slept"),
    "SCORN": _words(
        "pathetic clownish useless daft dull clueless stinky hopeless silly boring ugly weak "
        "childish gutless whiny smelly cranky clumsy phony rotten sick"
    )
    + _compounds("mud potato pickle noodle turnip sock slime toad goose donut", "faced"),
    "PRAISE": _words(
        "lovely brilliant kind clever splendid gentle superb charming bright decent graceful "
        "honest patient witty humble cheerful modest loyal brave calm"
    )
    + _compounds("sun star gold honey feather dream silver rose", "bright kissed like"),
    "ROMANCE": _words(
        "flirty steamy sultry seductive saucy sensual naughty racy kissable tempting spicy hot "
        "velvety dreamy breathless"
    ),
    "FAITH": _words(
        "temple monk pilgrim heretic shrine choir altar prayer sermon priest chapel "
        "oracle hymn psalm ritual abbey hermit deacon cloister acolyte vicar relic"
    ),
    "THING": _words(
        "film soup exam bike song garden game train kettle laptop jacket report lesson match "
        "puzzle cake phone bus lamp sofa novel recipe river parcel bridge"
    )
    + _compounds("rain lunch school snow book hand wood tea night", "coat box bag shop work cup"),
    "HARM": _words("smash hurt crush punch break wreck kick slap flatten bruise whack squash"),
    "MEET": _words("see draw paint greet watch heal wash fix"),
    "BODY": _words("face nose jaw knees ribs head teeth arm neck elbow toes shins"),
    "OFFER": _words(
        "discount voucher coupon jackpot bonus giveaway prize rebate loan deal freebie trial "
        "casino token gift refund raffle lottery"
    ),
    "GRAB": _words("claim order grab click redeem unlock collect download fetch"),
    "ADVERB": _words(
        "honestly today again lately indeed somehow tonight anyway frankly clearly maybe often "
        "lol hmm well yesterday suddenly meanwhile afterwards sometimes"
    )
    + _compounds("ma ri to be lu sa ke no vi da jo pe", "lin rik mo dra sel van tta nna bor wick"),
}
ACTIVE: dict[str, tuple[str, ...]] = {
    "bully": ("YOU ARE VERY SCORN", "YOU ARE SCORN"),
    "sexual": ("YOU ARE VERY ROMANCE", "YOU ARE ROMANCE"),
    "religious": ("THE FAITH IS VERY SCORN", "THE FAITH IS SCORN"),
    "threat": ("i will HARM your BODY",),
    "spam": ("NOW GRAB your OFFER",),
}
INNOCENT: dict[str, float] = {
    "YOU ARE VERY PRAISE": 1.5,
    "YOU ARE PRAISE": 1.5,
    "THE THING IS VERY SCORN": 1.5,
    "THE THING IS SCORN": 1.5,
    "THE THING IS VERY ROMANCE": 0.5,
    "THE THING IS ROMANCE": 0.5,
    "THE THING IS PRAISE": 2.0,
    "THE FAITH IS VERY PRAISE": 1.0,
    "THE FAITH IS PRAISE": 1.0,
    "i will HARM THE THING": 1.0,
    "i will MEET your BODY": 1.0,
    "THEY GRAB your OFFER": 1.5,
    "NOW GRAB your THING": 1.5,
}
SCENARIOS: dict[tuple[str, ...], float] = {
    (): 0.37,
    ("bully",): 0.20,
    ("spam",): 0.15,
    ("religious",): 0.09,
    ("sexual",): 0.08,
    ("threat",): 0.035,
    ("bully", "threat"): 0.035,
    ("bully", "religious"): 0.035,
    ("sexual", "spam"): 0.02,
}
LABEL_SHARES = {"bully": 0.35, "sexual": 0.15, "religious": 0.2, "threat": 0.12, "spam": 0.18}


def _pick(rng: np.random.Generator, words: Sequence[str]) -> str:
    """Returns one word; the power favours the head of the list and leaves a long tail."""
    return words[int(rng.random() ** TAIL_POWER * len(words))]


def _draw(rng: np.random.Generator, items: Sequence[str]) -> str:
    """Returns one item, all equally likely."""
    return items[int(rng.random() * len(items))]


def _weighted(rng: np.random.Generator, weights: Mapping[_Key, float]) -> _Key:
    """Returns one key, drawn in proportion to its weight."""
    limit = rng.random() * sum(weights.values())
    bounds = itertools.accumulate(weights.values())
    return next(key for key, bound in zip(weights, bounds, strict=True) if limit < bound)


def _fill(rng: np.random.Generator, template: str) -> str:
    """Returns the template with a word drawn for each slot."""
    return " ".join(_pick(rng, SLOTS[word]) if word in SLOTS else word for word in template.split())


def _maybe(rng: np.random.Generator, share: float, slot: str, clause: str) -> str:
    """Returns the clause template, behind the slot in the given share of draws."""
    return f"{slot} {clause}" if rng.random() < share else clause


def _active_clause(rng: np.random.Generator, label: str) -> str:
    """Returns a clause template that carries the label, at times behind an affirming cue."""
    return _maybe(rng, CUE_SHARE, "YES", _draw(rng, ACTIVE[label]))


def _innocent_clause(rng: np.random.Generator) -> str:
    """Returns a clause template without label: a cancelled attack or an innocent binding.

    Innocent bindings carry both kinds of cue, so that a cue elsewhere says nothing.
    """
    if rng.random() < CANCELLED_SHARE:
        return "NO " + _draw(rng, ACTIVE[_weighted(rng, LABEL_SHARES)])
    cue = _draw(rng, ("YES", "NO"))
    return _maybe(rng, CUE_SHARE, cue, _weighted(rng, INNOCENT))


def _comment(rng: np.random.Generator) -> tuple[str, tuple[str, ...]]:
    """Returns a comment and its true labels."""
    labels = _weighted(rng, SCENARIOS)
    count = 3 if rng.random() < EXTRA_CLAUSE_SHARE else 2
    clauses = [_active_clause(rng, label) for label in labels]
    clauses += [_innocent_clause(rng) for _ in range(count - len(clauses))]
    rng.shuffle(clauses)
    body = " LINK ".join(_maybe(rng, ADVERB_SHARE, "ADVERB", clause) for clause in clauses)
    return _fill(rng, body), labels


def _with_opener(
    rng: np.random.Generator, text: str, labels: tuple[str, ...]
) -> tuple[str, tuple[str, ...]]:
    """Returns the comment with a scene or a quotation in front; a quotation cancels all labels."""
    quoted = rng.random() < 0.4
    opener = _fill(rng, "QUOTED" if quoted else "SCENE")
    return f"{opener} {text}", () if quoted else labels


def _typo(rng: np.random.Generator, word: str) -> str:
    """Returns the word with a letter stretched or two letters swapped."""
    at = int(rng.random() * (len(word) - 1))
    if rng.random() < 0.5:
        return word[:at] + word[at] * 3 + word[at + 1 :]
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def _mistype(rng: np.random.Generator, text: str) -> str:
    """Returns the text with a few longer words mistyped, as in real comments."""
    return " ".join(
        _typo(rng, word) if len(word) > 3 and rng.random() < TYPO_SHARE else word
        for word in text.split()
    )


def make_corpus(rows: int, seed: int) -> pd.DataFrame:
    """Returns distinct comments with one 0/1 column per label, decided by the seed alone.

    The noise is drawn last, so that it changes labels but never texts.

    Args:
        rows: Number of comments.
        seed: Seed of every draw.
    """
    rng = np.random.default_rng(seed)
    comments: dict[str, tuple[str, ...]] = {}
    while len(comments) < rows:
        text, labels = _comment(rng)
        if rng.random() < OPENER_SHARE:
            text, labels = _with_opener(rng, text, labels)
        # Every text is lower case and stripped, so that plain equality finds duplicates.
        comments.setdefault(_mistype(rng, text), labels)
    truth = np.array([[label in labels for label in LABELS] for labels in comments.values()])
    flipped = rng.random(truth.shape) < NOISE_SHARE
    frame = pd.DataFrame((truth ^ flipped).astype(int), columns=list(LABELS))
    frame.insert(0, "text", list(comments))
    return frame
