import threading
from pathlib import Path
from typing import Any

import mlflow
import pytest

from kdray.results.folder import SweepFolder, write_text, write_trial
from kdray.results.records import EpochReport, TrialResult
from kdray.tracking.record import SweepRecord

SUMMARY: dict[str, Any] = {
    "front": ["0000"],
    "teacher": {"macro_f1": 0.8},
    "hypervolume": 0.5,
    "trials": {"completed": 1, "failed": 1},
}
PARAMETERS = {"student.layers": 2, "distillation.method": "logit", "distillation.alpha": 0.5}


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One output folder for all tests: making a SQLite store takes MLflow seconds."""
    return tmp_path_factory.mktemp("runs")


def client(output: Path) -> Any:
    return mlflow.MlflowClient(f"sqlite:///{output / 'mlflow.db'}")


def nested(output: Path, name: str) -> dict[str, Any]:
    experiment = client(output).get_experiment_by_name(name)
    runs = client(output).search_runs([experiment.experiment_id])
    return {run.data.tags.get("trial_id", "parent"): run for run in runs}


def recorded(output: Path, name: str, complete: bool = True) -> SweepRecord:
    folder = SweepFolder(output / name)
    folder.root.mkdir(exist_ok=True)
    record = SweepRecord(folder, None, None)
    record.open({"seed": 0})
    for trial_id in ("0000", "0001"):
        record.start_trial(trial_id, PARAMETERS)
    report = EpochReport(1, 2, {"macro_f1": 0.6, "f1_a b(c)": 0.5}, {"loss": 1.0}, 0.1)
    record.log_epoch("0000", report)
    record.finish_trial(TrialResult("0000", "completed", metrics={"macro_f1": 0.7}, epochs=2))
    if complete:
        record.finish_trial(TrialResult("0001", "failed", stage="distil", error="NaN"))
    write_text(folder.student("0000") / "kdray.json", '{"labels": ["a"]}')
    write_text(folder.root / "report.html", "<html></html>")
    record.finish(SUMMARY, complete)
    return record


def test_trials_of_a_sweep_with_constraints_are_tagged_feasible_or_not(output: Path) -> None:
    folder = SweepFolder(output / "constrained")
    folder.root.mkdir()
    record = SweepRecord(folder, None, None)
    record.open({})
    for trial_id in ("0000", "0001"):
        record.finish_trial(TrialResult(trial_id, "completed", metrics={"macro_f1": 0.7}))
    record.finish_trial(TrialResult("0002", "failed", stage="distil", error="NaN"))
    record.finish(SUMMARY | {"feasible": ["0000"]}, True)
    runs = nested(output, folder.name)
    tags = {name: run.data.tags.get("feasible") for name, run in runs.items()}
    assert tags == {"parent": None, "0000": "true", "0001": "false", "0002": None}


def test_a_sweep_is_a_parent_run_with_a_nested_run_a_trial(output: Path) -> None:
    record = recorded(output, "whole")
    runs = nested(output, "whole")
    assert record.failure is None
    assert set(runs) == {"parent", "0000", "0001"}
    parent = runs["parent"]
    assert all(
        runs[trial_id].data.tags["mlflow.parentRunId"] == parent.info.run_id
        for trial_id in ("0000", "0001")
    )
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["teacher_macro_f1"] == 0.8


def test_a_trial_has_parameters_metrics_by_epoch_and_tags(output: Path) -> None:
    recorded(output, "trials")
    runs = nested(output, "trials")
    good, bad = runs["0000"], runs["0001"]
    assert good.data.params["distillation.alpha"] == "0.5"
    history = client(output).get_metric_history(good.info.run_id, "macro_f1")
    assert sorted(metric.value for metric in history) == [0.6, 0.7]
    assert good.data.metrics["f1_a b_c_"] == 0.5
    assert (good.info.status, good.data.tags["status"]) == ("FINISHED", "completed")
    assert (good.data.tags["on_front"], bad.data.tags["on_front"]) == ("true", "false")
    assert (bad.info.status, bad.data.tags["stage"]) == ("FAILED", "distil")


def test_the_parent_has_the_report_and_the_front_has_models(output: Path) -> None:
    recorded(output, "artifacts")
    runs = nested(output, "artifacts")
    parent = client(output).list_artifacts(runs["parent"].info.run_id)
    assert "report.html" in [file.path for file in parent]
    assert {name: bool(run.outputs.model_outputs) for name, run in runs.items()} == {
        "parent": False,
        "0000": True,
        "0001": False,
    }


def test_runs_sort_by_the_selected_epoch_and_by_the_front(output: Path) -> None:
    folder = SweepFolder(output / "sorted")
    folder.root.mkdir()
    record = SweepRecord(folder, None, None)
    record.open({})
    for trial_id, best, last in (("0000", 0.8, 0.4), ("0001", 0.6, 0.7)):
        record.start_trial(trial_id, PARAMETERS)
        for epoch, value in enumerate((best, last), start=1):
            record.log_epoch(trial_id, EpochReport(epoch, 2, {"macro_f1": value}, {}, 0.1))
        metrics = {"macro_f1": best}
        result = TrialResult(trial_id, "completed", metrics=metrics, epochs=2, selected_epoch=1)
        record.finish_trial(result)
    record.finish(SUMMARY, True)
    experiment = client(output).get_experiment_by_name("sorted").experiment_id
    for query in ("metrics.macro_f1 > 0.7", "metrics.on_front = 1", "tags.on_front = 'true'"):
        (found,) = client(output).search_runs([experiment], query)
        assert found.data.tags["trial_id"] == "0000"


def test_a_sweep_that_was_cut_off_leaves_nothing_running_and_goes_on_in_its_runs(
    output: Path,
) -> None:
    before = recorded(output, "cut", complete=False)
    runs = nested(output, "cut")
    assert {run.info.status for run in runs.values()} == {"KILLED", "FINISHED"}
    after = SweepRecord(SweepFolder(output / "cut"), None, None)
    after.open({})
    after.start_trial("0001", PARAMETERS)
    after.finish_trial(TrialResult("0001", "completed", metrics={"macro_f1": 0.5}))
    assert after.finish(SUMMARY, True) == before.run_ids
    again = nested(output, "cut")
    assert len(again) == len(runs)
    assert {run.info.status for run in again.values()} == {"FINISHED"}


def new_record(output: Path) -> SweepRecord:
    folder = SweepFolder(output / "new")
    folder.root.mkdir()
    return SweepRecord(folder, None, None)


def check_it_records(record: SweepRecord, output: Path) -> None:
    """Checks that a new record can be opened, and that a store has its experiment afterwards."""
    record.open({"seed": 0})
    record.finish(SUMMARY, True)
    assert record.failure is None
    assert client(output).get_experiment_by_name("new") is not None


def test_what_is_made_for_a_sweep_that_does_not_begin_is_seen_nowhere(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path / "wrong")
    record = SweepRecord(folder, None, None)
    with pytest.raises(KeyError), record.getting_ready():
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_made_beside_the_preparation_comes_to_its_place_when_opened(
    tmp_path: Path,
) -> None:
    record = new_record(tmp_path)
    with record.getting_ready():
        record.flush()
        assert list(tmp_path.iterdir()) == [tmp_path / "new"]
    check_it_records(record, tmp_path)


def test_what_could_not_be_made_ahead_is_made_when_the_record_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = new_record(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("tempfile.mkdtemp", lambda **_: str(tmp_path / "nowhere"))
        with record.getting_ready():
            record.flush()
    check_it_records(record, tmp_path)


def test_a_store_that_cannot_be_written_does_not_end_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdray.tracking.record.FILE_PATIENCE_S", 0.1)
    folder = SweepFolder(tmp_path / "s")
    folder.root.mkdir()
    (tmp_path / "file").touch()
    record = SweepRecord(folder, f"sqlite:///{tmp_path}/file/mlflow.db", None)
    record.open({})
    record.start_trial("0000", {})
    record.finish(SUMMARY, True)
    assert record.failure is not None


def test_a_trial_that_finished_without_being_recorded_is_recorded_at_the_end(output: Path) -> None:
    folder = SweepFolder(output / "missed")
    record = SweepRecord(folder, None, None)
    folder.root.mkdir()
    record.open({})
    record.start_trial("0000", PARAMETERS)
    for trial_id in ("0000", "0001"):
        metrics = {"macro_f1": 0.7, "f1_a//b": 0.5}
        write_trial(folder, TrialResult(trial_id, "completed", PARAMETERS, metrics))
    record.finish(SUMMARY, True)
    runs = nested(output, "missed")
    assert record.failure is None
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert runs["0001"].data.metrics == {"macro_f1": 0.7, "f1_a__b": 0.5, "on_front": 0.0}


def test_a_folder_that_was_moved_is_recorded_anew(output: Path, tmp_path: Path) -> None:
    folder = SweepFolder(output / "moving")
    record = SweepRecord(folder, None, None)
    folder.root.mkdir()
    record.open({})
    write_trial(folder, TrialResult("0000", "completed", PARAMETERS, {"macro_f1": 0.7}))
    record.finish(SUMMARY, True)
    moved = SweepFolder(folder.root.rename(tmp_path / "moved"))
    again = SweepRecord(moved, None, None)
    again.open({})
    again.finish(SUMMARY, True)
    assert again.failure is None
    assert set(nested(tmp_path, "moved")) == {"parent", "0000"}


def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns the list that the names of all calls which write go to."""
    made: list[str] = []
    for name in ("create_run", "log_batch", "set_tag", "update_run", "set_terminated"):
        method = getattr(mlflow.MlflowClient, name)

        def write(self: Any, *args: Any, _name: str = name, _do: Any = method, **more: Any) -> Any:
            made.append(_name)
            return _do(self, *args, **more)

        monkeypatch.setattr(mlflow.MlflowClient, name, write)
    return made


def test_a_trial_that_is_over_before_it_could_be_written_takes_three_calls(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SweepFolder(output / "backlog")
    folder.root.mkdir()
    record = SweepRecord(folder, None, None)
    record.open({})
    record.flush()
    made, busy = calls(monkeypatch), threading.Event()
    record._writer.do(busy.wait)
    record.start_trial("0000", PARAMETERS)
    for epoch in (1, 2):
        report = EpochReport(epoch, 2, {"macro_f1": epoch / 4}, {"loss": 1.0}, 0.1)
        record.log_epoch("0000", report)
    result = TrialResult("0000", "completed", PARAMETERS, {"macro_f1": 0.5}, epochs=2)
    record.finish_trial(result, {"on_front": "true"})
    busy.set()
    record.flush()
    assert made == ["create_run", "log_batch", "set_terminated"]
    record.finish(SUMMARY, True)
    run = nested(output, "backlog")["0000"]
    history = client(output).get_metric_history(run.info.run_id, "macro_f1")
    assert sorted(metric.value for metric in history) == [0.25, 0.5, 0.5]
    assert (run.data.params["student.layers"], run.data.tags["on_front"]) == ("2", "true")
    assert (run.info.status, run.data.tags["status"]) == ("FINISHED", "completed")


def test_a_trial_that_left_the_front_is_tagged_so_and_the_end_tags_no_other(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SweepFolder(output / "front")
    folder.root.mkdir()
    record = SweepRecord(folder, None, None)
    record.open({})
    for trial_id in ("0000", "0001"):
        result = TrialResult(trial_id, "completed", PARAMETERS, {"macro_f1": 0.5})
        record.finish_trial(result, {"on_front": "true"})
    record.tag_trial("0001", {"on_front": "false"})
    record.flush()
    made = calls(monkeypatch)
    record.finish(SUMMARY, True)
    assert made == ["log_batch", "set_terminated"]  # of the parent
    runs = nested(output, "front")
    tags = {trial_id: run.data.tags.get("on_front") for trial_id, run in runs.items()}
    assert tags == {"parent": None, "0000": "true", "0001": "false"}
