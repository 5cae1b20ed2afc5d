import json
from pathlib import Path
from typing import Any

import pytest

from kdray.results.folder import SweepFolder
from kdray.tracking.dataset import dataset_input
from tests.tracking.recorded import DIGEST, client, finish, prepared, summary, write_student


def dataset(folder: SweepFolder) -> Any:
    return dataset_input(folder).dataset


def test_every_run_of_a_sweep_names_the_data_with_its_digest(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "sweep")
    write_student(folder, "0000")
    record = finish(folder, summary("0000"))
    finish(folder, summary("0000"))
    own = client(tmp_path)
    parent = json.loads(folder.tracking_json.read_text())["parent"]
    for run_id in (parent, record.run_ids["0000"]):
        (given,) = own.get_run(run_id).inputs.dataset_inputs
        assert (given.dataset.name, given.dataset.digest) == ("synthetic", DIGEST[:16])
        assert json.loads(given.dataset.profile)["digest"] == DIGEST
        columns = json.loads(given.dataset.schema)["mlflow_colspec"]
        kinds = {it["name"]: it["type"] for it in columns}
        assert kinds == {"text": "string", "a": "long", "b": "long"}


@pytest.mark.parametrize(
    ("data", "name", "kind", "source"),
    [
        (
            {"source": "files", "train": "data/train.csv", "test": "/home/me/secret/test.csv"},
            "data/train.csv",
            "local",
            {"uri": "data/train.csv", "train": "data/train.csv", "test": "test.csv"},
        ),
        (
            {"source": "hub", "name": "org/tweets", "revision": "abc"},
            "org/tweets",
            "hugging_face",
            {"path": "org/tweets", "config_name": None, "revision": "abc"},
        ),
        ({"source": "hub", "name": "/home/me/tweets"}, "tweets", "local", {"uri": "tweets"}),
    ],
    ids=["files", "hub", "folder"],
)
def test_a_source_is_told_without_folders_of_one_machine(
    tmp_path: Path, data: dict[str, Any], name: str, kind: str, source: dict[str, Any]
) -> None:
    told = dataset(prepared(tmp_path / "sweep", train_rows=None, **data))
    assert (told.name, told.source_type, json.loads(told.source)) == (name, kind, source)


def test_a_class_column_is_text(tmp_path: Path) -> None:
    told = dataset(prepared(tmp_path / "sweep", labels="class"))
    kinds = {it["name"]: it["type"] for it in json.loads(told.schema)["mlflow_colspec"]}
    assert kinds == {"text": "string", "class": "string"}


def test_a_sweep_from_before_digests_names_no_data(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "sweep")
    folder.verification_json.write_text("{}")
    assert dataset_input(folder) is None
