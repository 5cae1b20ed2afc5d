import time

import pandas as pd
import pytest

from kdray.data import corpus
from kdray.data.corpus import LABELS, make_corpus


@pytest.fixture(scope="module")
def comments() -> pd.DataFrame:
    return make_corpus(4000, seed=0)


def test_the_columns_are_the_text_and_then_the_labels(comments: pd.DataFrame) -> None:
    assert list(comments.columns) == ["text", *LABELS]
    assert len(comments) == 4000


def test_the_labels_are_zeros_and_ones_of_type_int(comments: pd.DataFrame) -> None:
    assert set(comments[list(LABELS)].to_numpy().ravel()) == {0, 1}
    assert all(kind.kind == "i" for kind in comments[list(LABELS)].dtypes)


def test_the_same_seed_gives_the_same_corpus() -> None:
    pd.testing.assert_frame_equal(make_corpus(300, seed=7), make_corpus(300, seed=7))


def test_another_seed_gives_other_texts() -> None:
    shared = set(make_corpus(300, seed=1)["text"]) & set(make_corpus(300, seed=2)["text"])
    assert len(shared) < 15


def test_no_text_occurs_twice(comments: pd.DataFrame) -> None:
    assert comments["text"].str.strip().str.casefold().is_unique


def test_the_labels_have_clearly_unequal_frequencies(comments: pd.DataFrame) -> None:
    shares = comments[list(LABELS)].mean()
    order = shares.sort_values(ascending=False)
    assert list(order.index) == ["bully", "spam", "religious", "sexual", "threat"]
    assert order["bully"] > 2.5 * order["threat"]
    assert order["threat"] > 0.05


def test_about_a_third_of_the_comments_has_no_label(comments: pd.DataFrame) -> None:
    assert 0.3 < (comments[list(LABELS)].sum(axis=1) == 0).mean() < 0.4


def test_threat_and_bully_occur_together_more_often_than_by_chance(
    comments: pd.DataFrame,
) -> None:
    together = (comments["threat"] & comments["bully"]).mean()
    assert together > 1.3 * comments["threat"].mean() * comments["bully"].mean()


def test_the_texts_are_short(comments: pd.DataFrame) -> None:
    lengths = comments["text"].str.count(" ") + 1
    assert lengths.min() >= 5
    assert lengths.quantile(0.999) <= 25
    assert 10 < lengths.mean() < 12.5


def test_the_vocabulary_has_a_long_tail(comments: pd.DataFrame) -> None:
    counts = comments["text"].str.split().explode().value_counts()
    assert 500 < len(counts) < 2500
    assert (counts < 5).mean() > 0.2


def test_the_noise_flips_a_small_share_of_labels_and_no_text(
    comments: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "NOISE_SHARE", 0.0)
    clean = make_corpus(4000, seed=0)
    flipped = (clean[list(LABELS)] != comments[list(LABELS)]).to_numpy().mean()
    assert list(clean["text"]) == list(comments["text"])
    assert 0.01 < flipped < 0.025


@pytest.mark.parametrize(
    ("word", "label"),
    [
        ("pathetic", "bully"),
        ("flirty", "sexual"),
        ("temple", "religious"),
        ("smash", "threat"),
        ("discount", "spam"),
    ],
)
def test_no_single_word_decides_a_label(comments: pd.DataFrame, word: str, label: str) -> None:
    with_word = comments[comments["text"].str.contains(rf"\b{word}\b")]
    assert 0.2 < with_word[label].mean() < 0.8


def test_a_cue_cancels_the_label_of_its_clause(comments: pd.DataFrame) -> None:
    attack = r"(?:you|u) (?:are|look|seem|sound) pathetic\b"
    said = comments[comments["text"].str.contains("everybody thinks " + attack)]
    denied = comments[comments["text"].str.contains("nobody thinks " + attack)]
    assert said["bully"].mean() > 0.8
    assert denied["bully"].mean() < 0.5


def test_six_thousand_comments_take_less_than_a_second() -> None:
    start = time.process_time()
    make_corpus(6000, seed=3)
    assert time.process_time() - start < 1.0
