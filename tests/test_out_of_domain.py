"""`evaluation.out_of_domain`: checked before any work, measured like test."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kdray.data.corpus import make_corpus
from kdray.errors import ConfigError
from kdray.reading import read_data
from tests.spaces import told
from tests.tiny_sweep import tiny_config


def problems(folder: Path, table: pd.DataFrame, **changes: Any) -> list[str]:
    table.to_csv(folder / "other.csv", index=False)
    config = tiny_config(folder, evaluation={"out_of_domain": "other.csv"}, **changes)
    with pytest.raises(ConfigError) as caught:
        read_data(config)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_a_file_of_other_texts_is_read_like_the_data(tmp_path: Path, ending: str) -> None:
    table, name = make_corpus(12, seed=7), f"other.{ending}"
    if ending == "csv":
        table.to_csv(tmp_path / name, index=False)
    elif ending == "parquet":
        table.to_parquet(tmp_path / name)
    else:
        table.to_json(tmp_path / name, orient="records", lines=True)
    data = read_data(tiny_config(tmp_path, evaluation={"out_of_domain": name}))
    assert list(data.examples) == ["train", "validation", "test", "out_of_domain"]
    assert [row[0] for row in data.examples["out_of_domain"].texts] == list(table["text"])
    assert len(data.examples["out_of_domain"].targets) == 12


def test_another_domain_need_not_have_every_label(tmp_path: Path) -> None:
    make_corpus(12, seed=7).assign(threat=0).to_csv(tmp_path / "other.csv", index=False)
    data = read_data(tiny_config(tmp_path, evaluation={"out_of_domain": "other.csv"}))
    assert not data.examples["out_of_domain"].targets[:, 3].any()


def test_a_file_that_is_not_there_is_told_before_any_work(tmp_path: Path) -> None:
    (problem,) = told("evaluation: {out_of_domain: other.csv}", tmp_path)
    assert f"evaluation.out_of_domain: no such file: {tmp_path / 'other.csv'}" in problem


def test_a_file_of_an_unknown_kind_is_told_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("a text")
    (problem,) = told("evaluation: {out_of_domain: other.txt}", tmp_path)
    assert "evaluation.out_of_domain: must end in .csv, .parquet, .jsonl, but got" in problem


def test_a_file_with_other_columns_is_told_by_its_name(tmp_path: Path) -> None:
    table = make_corpus(12, seed=7).rename(columns={"text": "texts", "spam": "Spam"})
    file = tmp_path / "other.csv"
    assert problems(tmp_path, table) == [
        f"data.text: {file} has no column 'text'; did you mean 'texts'?",
        f"data.labels: {file} has no column 'spam'; did you mean 'Spam'?",
    ]


def test_labels_that_are_no_truth_and_texts_of_the_training_set_are_told(tmp_path: Path) -> None:
    table = make_corpus(12, seed=0).astype({"spam": object})
    table.loc[3, "spam"] = "maybe"
    labels, leak = problems(tmp_path, table)
    assert labels.startswith("data.labels: ")
    assert "other.csv: column 'spam' must hold 0 or 1, but row 3 holds 'maybe'" in labels
    assert leak.startswith("evaluation.out_of_domain: texts of train stand in out_of_domain too")


def test_an_empty_file_and_one_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    assert problems(tmp_path, make_corpus(12, seed=7)[:0]) == [
        f"evaluation.out_of_domain: {tmp_path / 'other.csv'} has no rows"
    ]
    config = tiny_config(tmp_path, evaluation={"out_of_domain": "other.csv"})
    (tmp_path / "other.csv").write_text("text,a\n1,2,3\n1,2,3\n")
    with pytest.raises(ConfigError, match=r"evaluation\.out_of_domain: .* cannot be read: its"):
        read_data(config)
