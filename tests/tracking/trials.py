"""Trials as a driver tells of them, and how they stand on a server afterwards."""

from collections import Counter
from typing import Any

from kdray.results.folder import SweepFolder, write_text, write_trial
from kdray.results.records import EpochReport, TrialResult
from kdray.tracking.record import SweepRecord
from tests.door import Door
from tests.tracking.server import Server, histories

EPOCHS = 3
ENDS = {"completed": "FINISHED", "stopped_early": "FINISHED", "failed": "FAILED"}


def reports(index: int, epochs: int = EPOCHS) -> list[EpochReport]:
    return [
        EpochReport(epoch, EPOCHS, {"macro_f1": index + epoch / 10}, {"loss": 1 / epoch}, 0.1)
        for epoch in range(1, epochs + 1)
    ]


def result_of(index: int) -> TrialResult:
    drawn = {"student.layers": index, "distillation.method": "logit"}
    if index % 5 == 4:
        return TrialResult(
            f"{index:04}", "failed", drawn, stage="distil", error="NaN", epochs=EPOCHS
        )
    metrics = {"macro_f1": index + 0.2, "size_mb": 1.0}
    return TrialResult(f"{index:04}", "completed", drawn, metrics, epochs=EPOCHS, selected_epoch=2)


def run_trial(record: SweepRecord, folder: SweepFolder, index: int) -> None:
    """Does what the driver of a sweep does while a trial runs."""
    result, told = result_of(index), reports(index)
    record.start_trial(result.trial_id, result.parameters)
    for report in told:
        record.log_epoch(result.trial_id, report)
    write_trial(folder, result, told)
    record.finish_trial(result, {"on_front": str(index == 0).lower()})


def summary(trials: int) -> dict[str, Any]:
    counts = {"completed": trials, "stopped_early": 0, "failed": 0}
    return {
        "front": ["0000"],
        "knee": "0000",
        "teacher": {"macro_f1": 0.8},
        "hypervolume": 0.5,
        "trials": counts,
    }


def opened(folder: SweepFolder, to: Server | Door) -> SweepRecord:
    write_text(folder.student("0000") / "kdray.json", '{"labels": ["a"]}')
    record = SweepRecord(folder, f"http://127.0.0.1:{to.port}", None)
    record.open({"seed": 0, "search.trials": 8})
    return record


def assert_all_is_recorded(server: Server, folder: SweepFolder) -> None:
    """Compares every run, parameter, metric and state with the sweep's folder."""
    runs = server.runs(folder.name)
    (parent,) = [run for run in runs if "trial_id" not in run.data.tags]
    by_trial = {run.data.tags["trial_id"]: run for run in runs if run is not parent}
    results = folder.results()
    assert_its_student_is_the_best(server.client(), parent.info.experiment_id, folder)
    assert len(runs) == len(results) + 1
    assert set(by_trial) == {result.trial_id for result in results}
    assert (parent.info.status, parent.data.params["seed"]) == ("FINISHED", "0")
    assert parent.data.metrics["hypervolume"] == 0.5
    for result in results:
        assert_is_recorded(server, folder, result, by_trial[result.trial_id])
        assert by_trial[result.trial_id].data.tags["mlflow.parentRunId"] == parent.info.run_id


def assert_is_recorded(server: Server, folder: SweepFolder, result: TrialResult, run: Any) -> None:
    assert run.info.status == ENDS[result.status]
    assert run.data.tags["status"] == result.status
    assert run.data.tags.get("error") == result.error
    assert run.data.tags["on_front"] == str(result.trial_id == "0000").lower()
    assert run.data.params == {name: str(value) for name, value in result.parameters.items()}
    found = histories(server.client(), run)
    final = (result.epochs + 1, result.metrics.get("macro_f1", 0.0))
    for name, of in (("macro_f1", "metrics"), ("train_loss", "training")):
        key = name.removeprefix("train_")
        epochs = folder.epochs(result.trial_id)
        wanted = Counter((epoch.epoch, getattr(epoch, of)[key]) for epoch in epochs)
        assert set(found[name]) - {final} == set(wanted) - {final}
        assert all(n == 1 for n in found[name].values())
    assert (final in found["macro_f1"]) == bool(result.metrics)


def assert_its_student_is_the_best(client: Any, experiment: str, folder: SweepFolder) -> None:
    (model,) = client.search_logged_models([experiment])
    assert (model.tags["trial_id"], model.status) == ("0000", "READY")
    (version,) = client.search_model_versions(f"name = '{folder.name}'")
    assert version.source == model.artifact_location
    assert client.get_model_version_by_alias(folder.name, "best").version == version.version
