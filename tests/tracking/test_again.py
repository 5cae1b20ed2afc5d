"""What is written of a sweep after its end is stored in its run once more."""

from pathlib import Path
from typing import Any

import mlflow
import pytest

from kdray.results.folder import SweepFolder, write_json, write_text
from kdray.results.records import TrialResult
from kdray.tracking.again import store_again
from kdray.tracking.place import find_place
from kdray.tracking.record import SweepRecord

SUMMARY: dict[str, Any] = {
    "front": ["0000"],
    "teacher": {"macro_f1": 0.8},
    "hypervolume": 0.5,
    "trials": {"completed": 1},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> SweepFolder:
    folder = SweepFolder(tmp_path_factory.mktemp("runs") / "done")
    folder.root.mkdir()
    write_text(folder.root / "report.html", "before")
    record = SweepRecord(folder, None, None)
    record.open({})
    record.finish_trial(TrialResult("0000", "completed", metrics={"macro_f1": 0.7}))
    record.finish(SUMMARY, complete=True)
    return folder


def test_report_and_confirmation_are_stored_again_and_other_seeds_in_the_trials_run(
    folder: SweepFolder,
) -> None:
    write_text(folder.root / "report.html", "after")
    write_json(folder.confirmation_json, {"seeds": [1, 2], "trials": {}})
    assert store_again(folder, {"0000": {"confirmed_macro_f1": 0.69}, "0009": {"x": 1.0}}) == ""
    place = find_place(folder)
    client = mlflow.MlflowClient(place.uri)
    parent = client.get_run(place.parent)
    stored = Path(parent.info.artifact_uri.removeprefix("file://"))
    assert (stored / "report.html").read_text() == "after"
    assert (stored / "confirmation.json").is_file()
    assert parent.info.status == "FINISHED"
    (trial,) = client.search_runs([place.experiment_id], "tags.trial_id = '0000'")
    assert trial.data.metrics["confirmed_macro_f1"] == 0.69


def test_a_server_that_is_away_is_told_and_no_failure(tmp_path: Path) -> None:
    gone = SweepFolder(tmp_path / "gone")
    gone.root.mkdir()
    place = {"uri": "http://127.0.0.1:9", "experiment_id": "1", "parent": "a", "sweep": "b"}
    write_json(gone.tracking_json, place)
    assert store_again(gone, {}).startswith("http://127.0.0.1:9: ")


def test_a_copy_of_a_sweep_does_not_write_into_the_runs_of_the_original(
    folder: SweepFolder, tmp_path: Path
) -> None:
    copy = SweepFolder(tmp_path / "done")
    copy.root.mkdir()
    write_text(copy.tracking_json, folder.tracking_json.read_text())
    assert store_again(copy, {}).startswith("this is a copy of a sweep that is recorded in /")


def test_a_sweep_that_is_recorded_nowhere_says_nothing(tmp_path: Path) -> None:
    assert store_again(SweepFolder(tmp_path), {}) == ""
