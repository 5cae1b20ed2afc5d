import json
import threading
from pathlib import Path
from typing import Any

import mlflow
import pytest

from kdray import __version__
from tests.tracking.recorded import client, finish, models, prepared, summary, write_student


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One output folder for all tests: making a SQLite store takes MLflow seconds."""
    return tmp_path_factory.mktemp("runs")


def stored(model: Any) -> Path:
    return Path(model.artifact_location.removeprefix("file://"))


def signature(model: Any) -> tuple[list[str], list[str]]:
    """Returns the names of the columns that go in and come out."""
    found = mlflow.models.Model.load(str(stored(model))).signature
    return found.inputs.input_names(), found.outputs.input_names()


def test_a_student_of_the_front_is_a_model_of_its_run(output: Path) -> None:
    folder = prepared(output / "whole")
    write_student(folder, "0000")
    record = finish(folder, summary("0000"))
    assert record.failure is None
    (model,) = models(folder).values()
    assert (model.name, model.status) == ("0000 2 layers none hub_a_b", "READY")
    assert model.source_run_id == record.run_ids["0000"]
    assert (model.params["student.layers"], model.tags["on_front"]) == ("2", "true")
    assert {metric.key: metric.value for metric in model.metrics}["size_mb"] == 1.5
    run = client(output).get_run(record.run_ids["0000"])
    assert [it.model_id for it in run.outputs.model_outputs] == [model.model_id]
    assert not client(output).list_artifacts(run.info.run_id)  # its weights are stored once


def test_a_model_says_what_goes_in_what_comes_out_and_which_kdray_it_needs(output: Path) -> None:
    folder = prepared(output / "described")
    write_student(folder, "0000")
    finish(folder, summary("0000"))
    (model,) = models(folder).values()
    assert signature(model) == (["text"], ["a", "b"])
    example = json.loads((stored(model) / "input_example.json").read_text())
    assert (example["columns"], len(example["data"])) == (["text"], 1)
    assert (stored(model) / "student" / "model.safetensors").read_text() == "weights"
    needed = (stored(model) / "requirements.txt").read_text().split()
    assert f"kdray=={__version__}" in needed


def test_text_pairs_go_in_as_the_columns_of_the_data(output: Path) -> None:
    folder = prepared(output / "pairs", text=["premise", "hypothesis"])
    write_student(folder, "0000")
    finish(folder, summary("0000"))
    assert signature(models(folder)["0000"])[0] == ["premise", "hypothesis"]


def test_a_student_is_stored_once_however_often_the_sweep_goes_on(output: Path) -> None:
    folder = prepared(output / "again")
    for trial_id in ("0000", "0001"):
        write_student(folder, trial_id)
    finish(folder, summary("0000"))
    before = models(folder)["0000"]
    record = finish(folder, summary("0000", "0001"))
    after = models(folder)
    assert set(after) == {"0000", "0001"}
    assert after["0000"].model_id == before.model_id
    assert len(after["0000"].metrics) == len(before.metrics)
    run = client(output).get_run(record.run_ids["0000"])
    assert len(run.outputs.model_outputs) == 1


def test_a_student_that_left_the_front_is_marked_so_until_it_is_back(output: Path) -> None:
    folder = prepared(output / "left")
    for trial_id in ("0000", "0001"):
        write_student(folder, trial_id)
    for front in (["0000"], ["0001"], ["0000", "0001"]):
        record = finish(folder, summary(*front))
        on_front = {name for name, it in models(folder).items() if it.tags["on_front"] == "true"}
        assert on_front == set(front)
        runs = {trial_id: client(output).get_run(it) for trial_id, it in record.run_ids.items()}
        tagged = {name for name, run in runs.items() if run.data.tags["on_front"] == "true"}
        ranked = {name for name, run in runs.items() if run.data.metrics["on_front"] == 1}
        assert tagged == ranked == set(front)


def test_a_crash_while_a_student_is_stored_leaves_no_second_and_no_half_model(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = prepared(output / "crash")
    write_student(folder, "0000")
    stopped = threading.Event()

    def stop(*args: Any, **more: Any) -> None:
        stopped.set()
        raise ConnectionError

    monkeypatch.setattr(mlflow.MlflowClient, "finalize_logged_model", stop)
    monkeypatch.setattr("kdray.tracking.record.FILE_PATIENCE_S", 0.1)
    monkeypatch.setattr("kdray.tracking.writing._TRIES_S", (0.5, 0.5))
    finish(folder, summary("0000"))
    assert stopped.is_set()
    half = models(folder)["0000"]
    assert half.status == "PENDING"
    monkeypatch.undo()
    assert finish(folder, summary("0000")).failure is None
    whole = models(folder)["0000"]
    assert (whole.model_id, whole.status) == (half.model_id, "READY")


def test_a_damaged_student_keeps_neither_the_others_nor_the_end_of_the_sweep_out(
    output: Path,
) -> None:
    folder = prepared(output / "damaged")
    for trial_id in ("0000", "0001"):
        write_student(folder, trial_id)
    (folder.student("0000") / "kdray.json").unlink()
    record = finish(folder, summary("0000", "0001", knee="0001"))
    assert "holds no student that can be read" in (record.failure or "")
    ready = {name for name, model in models(folder).items() if model.status == "READY"}
    assert ready == {"0001"}
    parent = json.loads(folder.tracking_json.read_text())["parent"]
    assert client(output).get_run(parent).info.status == "FINISHED"


def test_a_sweep_that_keeps_no_weights_has_runs_and_no_models(output: Path) -> None:
    folder = prepared(output / "none")
    write_student(folder, "0000")
    folder.remove(folder.student("0000"))
    assert finish(folder, summary("0000")).failure is None
    assert models(folder) == {}
