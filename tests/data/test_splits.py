from collections import Counter

import numpy as np
import pandas as pd
import pytest

from kdray.data.base import DataSource, Frames
from kdray.data.splits import complete_splits

MULTI = DataSource(text="text", labels=["common", "rare"])
SINGLE = DataSource(text="text", labels="topic")


def table(rows: int = 1000) -> pd.DataFrame:
    numbers = np.arange(rows)
    return pd.DataFrame(
        {
            "text": [f"text {number}" for number in numbers],
            "common": (numbers % 2).astype(int),
            "rare": (numbers % 50 == 0).astype(int),
            "topic": np.where(numbers % 100 == 0, "seldom", "often"),
        }
    )


def completed(
    frame: pd.DataFrame, source: DataSource = MULTI, seed: int = 0, **more: pd.DataFrame
) -> Frames:
    splits = {"train": frame, **more}
    return complete_splits(source, Frames(splits, {name: f"{name}.csv" for name in splits}), seed)


def rows(frames: Frames) -> dict[str, list[int]]:
    return {name: frame.index.tolist() for name, frame in frames.splits.items()}


def test_missing_splits_take_fifteen_percent_each_and_no_row_is_lost() -> None:
    found = rows(completed(table()))
    assert {name: len(part) for name, part in found.items()} == {
        "train": 700,
        "validation": 150,
        "test": 150,
    }
    assert sorted(row for part in found.values() for row in part) == list(range(1000))


def test_the_seed_decides_what_is_split_off() -> None:
    assert rows(completed(table(), seed=1)) == rows(completed(table(), seed=1))
    assert rows(completed(table(), seed=1)) != rows(completed(table(), seed=2))


def test_what_is_split_off_says_where_it_comes_from() -> None:
    assert completed(table()).origins == {
        "train": "train.csv",
        "test": "train.csv (split off as test)",
        "validation": "train.csv (split off as validation)",
    }


@pytest.mark.parametrize("given", ["validation", "test"])
def test_a_split_that_is_there_is_left_as_it_is(given: str) -> None:
    own = table(20)
    frames = Frames({"train": table(), given: own}, {"train": "train.csv", given: "own.csv"})
    found = complete_splits(MULTI, frames, 0)
    assert found.splits[given] is own
    assert {name: len(part) for name, part in found.splits.items() if name != given} == {
        "train": 850,
        ({"validation", "test"} - {given}).pop(): 150,
    }


def test_nothing_is_split_off_where_nothing_is_missing() -> None:
    frame = table(40)
    found = completed(frame, validation=table(10), test=table(10))
    assert found.splits["train"] is frame


def test_rows_with_the_same_text_stay_together_however_they_are_spaced() -> None:
    frame = table(600)
    frame["text"] = [f"text{' ' * (row % 2 + 1)}{row // 3}" for row in range(600)]
    found = completed(frame)
    homes = [set(part["text"].str.split().str[1]) for part in found.splits.values()]
    assert Counter(text for home in homes for text in home) == Counter(map(str, range(200)))
    assert 0.12 < len(found.splits["test"]) / 600 < 0.18


def test_pairs_stay_together_only_if_both_texts_are_the_same() -> None:
    frame = table(400)
    frame["other"] = frame["text"]
    frame["text"] = "same"
    source = DataSource(text=["text", "other"], labels=["common"])
    assert len(completed(frame, source).splits["test"]) == 60


@pytest.mark.parametrize("seed", range(5))
def test_every_label_gives_its_share_to_each_split(seed: int) -> None:
    splits = completed(table(), MULTI, seed).splits
    assert 2 <= splits["validation"]["rare"].sum() <= 4
    assert 2 <= splits["test"]["rare"].sum() <= 4
    assert abs(splits["test"]["common"].mean() - 0.5) < 0.02


@pytest.mark.parametrize("seed", range(5))
def test_every_class_gives_its_share_to_each_split(seed: int) -> None:
    splits = completed(table(), SINGLE, seed).splits
    assert 1 <= (splits["validation"]["topic"] == "seldom").sum() <= 2
    assert 1 <= (splits["test"]["topic"] == "seldom").sum() <= 2


def test_a_table_without_the_text_column_is_left_to_the_checks() -> None:
    frame = table(20).drop(columns="text")
    assert completed(frame).splits.keys() == {"train"}


def test_a_table_without_the_label_columns_is_split_all_the_same() -> None:
    for source in (MULTI, SINGLE):
        found = completed(table(100)[["text"]], source)
        assert len(found.splits["test"]) == 15


def test_a_table_without_rows_is_left_to_the_checks() -> None:
    assert completed(table(0)).splits.keys() == {"train"}
