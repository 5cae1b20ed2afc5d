import unicodedata

import numpy as np
import pytest

from kdray.config.sections import Evaluation, Robustness
from kdray.data.base import Examples
from kdray.evaluation.noise import letters_of, mistyped, with_noise

BANGLA = "তুমি খুব ভালো মানুষ, কিন্তু কাল আসবে না 12"
LATIN = "You are lovely; the soup is silly, isn't it"


def typos(text, share=0.2, seed=0):
    texts = tuple((text,) for _ in range(200))
    return [row[0] for row in mistyped(texts, letters_of([BANGLA, LATIN]), share, seed)]


def alphabet(text):
    return {char for char in text if unicodedata.category(char)[0] in "LM"}


def test_the_seed_decides_every_typo():
    assert typos(LATIN) == typos(LATIN)
    assert typos(LATIN) != typos(LATIN, seed=1)


@pytest.mark.parametrize("text", [BANGLA, LATIN])
def test_what_is_typed_instead_is_of_the_texts_own_script(text):
    for noisy in typos(text):
        assert alphabet(noisy) <= alphabet(text)
        # What is no letter stays, in its place among the others.
        assert [c for c in noisy if c not in alphabet(text)] == [
            c for c in text if c not in alphabet(text)
        ]


def test_a_capital_is_replaced_by_a_capital_and_a_vowel_sign_by_a_vowel_sign():
    letters = letters_of(["AB", "cd", "কখাি", "ক\u09c1\u09c2"])
    for text, allowed in (("A", "AB"), ("c", "cd"), ("\u09c1", "\u09c1\u09c2")):
        seen = {row[0] for row in mistyped(((text,),) * 60, letters, 1.0, 0)}
        assert seen == {*allowed, text * 2}


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
def test_the_share_holds_over_all_letters(share, monkeypatch):
    # Only replacing, so that typos can be counted; of 26 letters none replaces itself.
    text = "abcdefghijklmnopqrstuvwxyz" * 2 + "abcd 1"
    monkeypatch.setattr("kdray.evaluation.noise.np.random.default_rng", Replacing)
    noisy = [
        row[0] for row in mistyped(tuple((text,) for _ in range(500)), letters_of([text]), share, 3)
    ]
    changed = [sum(a != b for a, b in zip(text, other, strict=True)) for other in noisy]
    assert set(changed) <= {int(56 * share), int(56 * share) + 1}
    assert np.mean(changed) == pytest.approx(56 * share, abs=0.1)


class Replacing:
    def __init__(self, seed):
        self._rng = np.random.Generator(np.random.PCG64(seed))

    def integers(self, kinds):
        return 2

    def __getattr__(self, name):
        return getattr(self._rng, name)


def test_every_kind_of_typo_is_made():
    noisy = {row[0] for row in mistyped((("ab",),) * 200, letters_of(["ab"]), 0.5, 0)}
    assert noisy == {"b", "a", "ba", "aab", "abb", "bb", "aa"}


@pytest.mark.parametrize("text", ["a", "ab", "না", "!", "12 %"])
def test_no_text_becomes_empty(text):
    noisy = typos(text, share=1.0)
    assert all(one.strip() for one in noisy)
    if not alphabet(text):
        assert set(noisy) == {text}


def test_a_letter_that_is_alone_of_its_kind_is_doubled_instead_of_replaced():
    assert {row[0] for row in mistyped((("x!",),) * 50, letters_of(["x!"]), 1.0, 0)} == {"xx!", "!"}


def split(*texts):
    return Examples(tuple((text, "second") for text in texts), np.arange(len(texts)))


def test_validation_and_test_have_noisy_copies_with_the_same_targets():
    examples = {name: split(LATIN, BANGLA) for name in ("train", "validation", "test")}
    wanted = Evaluation(robustness=Robustness(noise=[0.1, 0.3]))
    found = with_noise(examples, wanted, seed=4)
    assert list(found) == [
        *examples,
        *("validation_noise_10", "test_noise_10", "validation_noise_30", "test_noise_30"),
    ]
    assert all(found[name] is part for name, part in examples.items())
    for name in ("validation_noise_10", "test_noise_30"):
        assert np.array_equal(found[name].targets, [0, 1])
        assert found[name].texts != examples["test"].texts
        assert [len(row) for row in found[name].texts] == [2, 2]
    assert found["test_noise_30"].texts != found["validation_noise_30"].texts
    elsewhere = {"out_of_domain": split("ßßß")}
    assert with_noise(examples | elsewhere, wanted, seed=4) == found | elsewhere
    assert (
        with_noise(examples, wanted, seed=5)["test_noise_30"].texts != found["test_noise_30"].texts
    )


def test_without_robustness_there_is_no_noise():
    examples = {"validation": split("a"), "test": split("b")}
    assert with_noise(examples, Evaluation(), 0) == examples
