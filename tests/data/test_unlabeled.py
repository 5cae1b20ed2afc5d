"""Texts without labels: read, checked, and put behind the training set."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdray.data.base import Frames, Labels
from kdray.data.batches import make_batch
from kdray.data.checks import to_examples
from kdray.data.dataset import Dataset, Ragged, learnt_from, learnt_rows
from kdray.data.files import Files
from kdray.data.unlabeled import with_unlabeled
from kdray.errors import ConfigError
from tests import tiny

TRAIN = "text,mood\ngood soup,up\nbad soup,down\ngood film,up\nbad film,down\n"
OTHER = "text,mood\n{0} day,up\n{0} night,down\n"


def source(folder: Path, file: str, content: str, **options: Any) -> Files:
    (folder / file).write_text(content, encoding="utf-8")
    (folder / "train.csv").write_text(TRAIN, encoding="utf-8")
    for name in ("validation", "test"):
        (folder / f"{name}.csv").write_text(OTHER.format(name), encoding="utf-8")
    files = {name: f"{name}.csv" for name in ("train", "validation", "test")}
    return Files(**files, labels="mood", unlabeled=file, **options)


def read(folder: Path, file: str, content: str, **options: Any) -> tuple[Frames, list[str]]:
    given = source(folder, file, content, **options)
    return with_unlabeled(given.read(folder, 0), given, folder)


def told(folder: Path, file: str, content: str) -> list[str]:
    given = source(folder, file, content)
    with pytest.raises(ConfigError) as caught:
        to_examples(given, with_unlabeled(given.read(folder, 0), given, folder)[0])
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("more.csv", "id,text\n1,odd soup\n2,odd film\n"),
        ("more.jsonl", '{"text": "odd soup"}\n{"text": "odd film"}\n'),
        ("more.txt", "odd soup\n\n  odd film\n"),
    ],
)
def test_a_table_or_a_text_a_line_is_read_and_labels_are_not_needed(
    tmp_path: Path, file: str, content: str
) -> None:
    frames, notes = read(tmp_path, file, content)
    labels, examples = to_examples(source(tmp_path, file, content), frames)
    assert examples["unlabeled"].texts == (("odd soup",), ("odd film",))
    assert examples["unlabeled"].targets.tolist() == [-1, -1]
    assert labels == Labels(("down", "up"), "single_label")
    assert notes == []


def test_what_is_in_train_or_there_twice_is_left_out_with_a_note(tmp_path: Path) -> None:
    frames, notes = read(tmp_path, "more.txt", "good  soup\nodd soup\nodd film\nodd soup\n")
    assert frames.splits["unlabeled"]["text"].tolist() == ["odd soup", "odd film"]
    assert notes == [
        "data.unlabeled: 2 texts that are in train, or twice in the file, are left out"
    ]


def test_without_a_file_nothing_is_added(tmp_path: Path) -> None:
    frames = source(tmp_path, "more.txt", "").read(tmp_path, 0)
    given = Files(train="train.csv", labels="mood")
    assert with_unlabeled(frames, given, tmp_path) == (frames, [])


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_text_that_is_measured_on_is_a_leak(tmp_path: Path, split: str) -> None:
    assert told(tmp_path, "more.txt", f"odd soup\n{split} day\n") == [
        f"data.unlabeled: texts of {split} stand in unlabeled too, 1 rows ({split} and unlabeled "
        "row: 0 and 1); take them out of one"
    ]


def test_wrong_files_are_told(tmp_path: Path) -> None:
    (problem,) = told(tmp_path, "more.csv", "id,texd\n1,odd soup\n")
    assert problem.endswith("more.csv has no column 'text'; did you mean 'texd'?")
    (problem,) = told(tmp_path, "more.csv", "id,text\n1,\n2,odd soup\n")
    assert "more.csv: 1 rows have an empty text: 0" in problem
    (problem,) = told(tmp_path, "more.txt", "good soup\nbad soup\n")
    assert problem == (
        f"data.unlabeled: {tmp_path}/more.txt (without 2 texts that are in train, or twice in the "
        "file) has no rows"
    )
    (tmp_path / "more.txt").write_bytes(b"\xff\xfe\xff")
    given = Files(train="train.csv", labels="mood", unlabeled="more.txt")
    with pytest.raises(ConfigError, match=r"data\.unlabeled: .*more\.txt cannot be read"):
        with_unlabeled(given.read(tmp_path, 0), given, tmp_path)


@pytest.mark.parametrize("labels", tiny.KINDS.values(), ids=tiny.KINDS)
def test_texts_without_labels_stand_behind_the_training_set(labels: Labels) -> None:
    train, more = tiny.dataset(labels, (3, 7, 2)), tiny.dataset(labels, (5, 4))
    splits = {"train": train, "unlabeled": more, "test": train}
    whole = learnt_from(splits)
    assert (len(whole), whole.labelled, learnt_rows(splits)) == (5, 3, 5)
    assert whole.lengths.tolist() == [3, 7, 2, 5, 4]
    for row, (part, own) in enumerate([(train, 0), (train, 1), (train, 2), (more, 0), (more, 1)]):
        found, expected = (one.arrays(np.array([n])) for one, n in ((whole, row), (part, own)))
        assert all(np.array_equal(found[name], expected[name]) for name in expected)
        assert np.array_equal(whole.targets[row], part.targets[own])


def test_without_them_it_is_the_training_set_itself() -> None:
    train = tiny.dataset()
    assert learnt_from({"train": train, "test": tiny.dataset()}) is train
    assert make_batch(train, np.array([0, 1]), torch.device("cpu")).labelled is None


def test_columns_without_ragged_rows_are_joined_as_well() -> None:
    pixels = np.arange(6.0).reshape(3, 2)
    train = Dataset({"pixels": pixels[:2]}, np.ones(2, np.int64), np.zeros(2))
    more = Dataset({"pixels": pixels[2:]}, np.ones(1, np.int64), np.zeros(1))
    joined = learnt_from({"train": train, "unlabeled": more}).columns["pixels"]
    assert not isinstance(joined, Ragged)
    assert np.array_equal(joined, pixels)


def test_a_batch_says_which_of_its_examples_have_labels() -> None:
    whole = learnt_from({"train": tiny.dataset(), "unlabeled": tiny.dataset()})
    found = make_batch(whole, np.array([7, 2, 11, 0]), torch.device("cpu")).labelled
    assert found is not None
    assert found.tolist() == [1, 3]
