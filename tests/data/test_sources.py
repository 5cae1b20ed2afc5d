import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kdray.data.base import DataSource, Examples, Frames, Labels
from kdray.data.checks import to_examples
from kdray.data.corpus import LABELS
from kdray.data.splits import complete_splits
from kdray.errors import ConfigError
from kdray.schema import checked_data

ROWS = [
    {"text": "NA", "other": "null", "spam": 1, "no": 0, "topic": "news"},
    {"text": "ভালো, মানুষ", "other": "007", "spam": 0, "no": 1, "topic": "sport"},
    {"text": 'a "quoted" word', "other": "2024-05-01", "spam": 1, "no": 1, "topic": "news"},
    {"text": "two\nlines", "other": "1e-4", "spam": 0, "no": 0, "topic": "NA"},
]


def source(**options: Any) -> DataSource:
    found, problems = checked_data({"labels": ["spam", "no"]} | options)
    assert found is not None, problems
    return found


def write(path: Path, rows: list[dict[str, Any]] = ROWS) -> None:
    frame = pd.DataFrame(rows)
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        lines = (json.dumps(row, ensure_ascii=False) for row in rows)
        path.write_text("\n".join(lines), encoding="utf-8")


def read(folder: Path, suffix: str, **options: Any) -> tuple[Labels, dict[str, Examples]]:
    write(folder / f"x{suffix}")
    found = source(source="files", train=f"x{suffix}", **options)
    return to_examples(found, found.read(folder, 0))


def told(folder: Path, train: str) -> str:
    with pytest.raises(ConfigError) as caught:
        source(source="files", train=train).read(folder, 0)
    (problem,) = caught.value.problems
    assert problem.where == "data.train"
    return problem.message


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_all_formats_give_the_same_examples(tmp_path: Path, suffix: str) -> None:
    labels, examples = read(tmp_path, suffix)
    assert labels == Labels(("spam", "no"), "multi_label")
    assert examples["train"].texts == tuple((row["text"],) for row in ROWS)
    assert examples["train"].targets.tolist() == [[1, 0], [0, 1], [1, 1], [0, 0]]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_all_formats_give_the_same_pairs_and_classes(tmp_path: Path, suffix: str) -> None:
    labels, examples = read(tmp_path, suffix, text=["text", "other"], labels="topic")
    assert labels == Labels(("NA", "news", "sport"), "single_label")
    assert examples["train"].texts[1] == ("ভালো, মানুষ", "007")
    assert examples["train"].targets.tolist() == [1, 2, 1, 0]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    write(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    found = source(source="files", train=path.name).read(tmp_path, 0)
    assert "text" in found.splits["train"].columns


def test_each_file_is_a_split_and_its_path_the_origin(tmp_path: Path) -> None:
    write(tmp_path / "a.csv")
    write(tmp_path / "b.jsonl", ROWS[:2])
    found = source(source="files", train="a.csv", test="b.jsonl").read(tmp_path, 0)
    assert {name: len(frame) for name, frame in found.splits.items()} == {"train": 4, "test": 2}
    assert found.origins["test"] == str(tmp_path / "b.jsonl")


def test_rows_of_a_table_with_an_index_of_its_own_count_from_zero(tmp_path: Path) -> None:
    pd.DataFrame(ROWS, index=list("wxyz")).to_parquet(tmp_path / "x.parquet")
    found = source(source="files", train="x.parquet").read(tmp_path, 0)
    assert found.splits["train"].index.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", b"", "No columns to parse from file"),
        ("x.csv", b"text,spam,no\na,b,1,0\n", "its rows have more fields than its header"),
        ("x.csv", b'text,spam\n"a,1\n', "Error tokenizing data"),
        ("x.csv", b"text,spam\n\xff,1\n", "'utf-8' codec can't decode"),
        ("x.parquet", b"PAR", "Could not open Parquet"),
        ("x.jsonl", b'{"text": "a"}\n\n{"text": \n', "line 3 is no JSON: Expecting value"),
        ("x.jsonl", b"[1, 2]\n", "line 1 is no JSON object"),
        ("x.jsonl", b"\xff\n", "'utf-8' codec can't decode"),
        ("x.csv", "text,spam\na,1\n".encode("utf-16"), "'utf-8' codec can't decode"),
        ("x.csv", bytes(range(256)) * 9, "Error tokenizing data"),
        ("x.jsonl", b'{"text": "a"}\n{"text": ' + b"[" * 100_000, "line 2: maximum recursion"),
        ("x.jsonl", b'{"text": "a", "n": ' + b"9" * 5000 + b"}", "line 1: Exceeds the limit"),
        ("x.jsonl", b'{"text": "a \\ud83d b"}', "line 1: 'utf-8' codec can't encode"),
        ("x.jsonl", b'{"text": "a \0 b"}', "line 1 is no JSON: Invalid control character"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert told(tmp_path, name).startswith(f"{tmp_path / name} cannot be read: {message}")


def test_a_damaged_parquet_file_is_named_whatever_its_reader_raises(tmp_path: Path) -> None:
    table = pa.Table.from_pandas(pd.DataFrame(ROWS)).replace_schema_metadata({"pandas": b"{}"})
    pq.write_table(table, tmp_path / "x.parquet")
    assert told(tmp_path, "x.parquet").startswith(f"{tmp_path / 'x.parquet'} cannot be read: ")


def test_a_whole_character_of_two_escapes_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "\\ud83d\\ude00"}')
    found = source(source="files", train="x.jsonl").read(tmp_path, 0)
    assert found.splits["train"]["text"].tolist() == ["😀"]


def test_nul_and_a_huge_field_are_read_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"text,spam,no\na\0b,1,0\n" + b"x" * 1_000_000 + b",0,1\n")
    found = source(source="files", train="x.csv")
    _, examples = to_examples(found, found.read(tmp_path, 0))
    assert [len(text) for (text,) in examples["train"].texts] == [3, 1_000_000]


def test_all_unreadable_files_are_named_at_once(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("")
    with pytest.raises(ConfigError) as caught:
        source(source="files", train="a.csv", test="b.csv").read(tmp_path, 0)
    assert [problem.where for problem in caught.value.problems] == ["data.train", "data.test"]


def test_a_format_that_is_not_known_is_refused() -> None:
    _, (problem,) = checked_data({"source": "files", "train": "x.txt", "labels": "topic"})
    assert str(problem) == "data.train: must end in .csv, .parquet, .jsonl, but got 'x.txt'"


def test_fields_that_a_row_lacks_are_missing(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,spam,no\na,1,0\nb,0\nc,0,1\n")
    found = source(source="files", train="x.csv")
    with pytest.raises(ConfigError, match="column 'no' must hold 0 or 1, but row 1 holds ''"):
        to_examples(found, found.read(tmp_path, 0))


@pytest.fixture
def hub_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    datasets.disable_progress_bars()
    (tmp_path / "data").mkdir()
    return tmp_path


def test_a_local_folder_is_a_hub_source_whose_splits_are_completed(hub_folder: Path) -> None:
    rows = [ROWS[0] | {"text": f"text {n}", "spam": n % 2, "no": n % 3 % 2} for n in range(60)]
    write(hub_folder / "data" / "train.csv", rows)
    write(hub_folder / "data" / "test.csv", [row | {"text": f"{row['text']} b"} for row in rows])
    found = source(source="hub", name="data")
    frames = found.read(hub_folder, 0)
    assert frames.origins == {"train": "data (train)", "test": "data (test)"}
    labels, examples = to_examples(found, complete_splits(found, frames, 0))
    assert labels.names == ("spam", "no")
    assert {name: len(part) for name, part in examples.items()} == {
        "train": 51,
        "validation": 9,
        "test": 60,
    }


def hub_frames(folder: Path, column: str, codes: list[int], labels: Any) -> Frames:
    kind = datasets.ClassLabel(names=["news", "sport"])
    table = datasets.Dataset.from_dict(
        {"text": list("abcd"), column: codes},
        features=datasets.Features({"text": datasets.Value("string"), column: kind}),
    )
    table.to_parquet(folder / "data" / "train.parquet")
    return source(source="hub", name="data", labels=labels).read(folder, 0)


def test_a_class_column_of_the_hub_gives_the_names_of_the_classes(hub_folder: Path) -> None:
    frames = hub_frames(hub_folder, "topic", [1, 0, 1, 1], "topic")
    assert frames.splits["train"]["topic"].tolist() == ["sport", "news", "sport", "sport"]


def test_a_row_of_the_hub_without_a_class_is_empty(hub_folder: Path) -> None:
    frames = hub_frames(hub_folder, "topic", [1, 0, -1, 1], "topic")
    assert frames.splits["train"]["topic"].isna().tolist() == [False, False, True, False]


def test_zeros_and_ones_of_the_hub_stay_what_they_are(hub_folder: Path) -> None:
    frames = hub_frames(hub_folder, "spam", [1, 0, 1, 1], ["spam"])
    assert frames.splits["train"]["spam"].tolist() == [1, 0, 1, 1]


def test_a_hub_source_without_a_training_split_is_refused(hub_folder: Path) -> None:
    write(hub_folder / "data" / "test.csv")
    with pytest.raises(ConfigError, match="'data' has no split `train`, only test"):
        source(source="hub", name="data").read(hub_folder, 0)


def test_a_hub_source_that_cannot_be_loaded_is_named(hub_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.name: 'nowhere/at-all' cannot be loaded: "):
        source(source="hub", name="nowhere/at-all").read(hub_folder, 0)


def test_the_synthetic_source_gives_three_splits_that_pass_all_checks() -> None:
    found, _ = checked_data(
        {"source": "synthetic", "train_rows": 300, "validation_rows": 80, "test_rows": 70}
    )
    assert found is not None
    labels, examples = to_examples(found, found.read(Path(), 3))
    assert labels == Labels(LABELS, "multi_label")
    assert {name: len(part) for name, part in examples.items()} == {
        "train": 300,
        "validation": 80,
        "test": 70,
    }
    again = found.read(Path(), 3).splits["train"]["text"]
    assert again.tolist() == [row[0] for row in examples["train"].texts]
    assert not np.array_equal(again, found.read(Path(), 4).splits["train"]["text"])
