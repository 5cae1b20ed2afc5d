"""An MLflow server that goes away loses nothing: a real one, shut off, stopped or killed."""

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest

from kdray.results.folder import SweepFolder, write_trial
from kdray.results.records import TrialResult
from kdray.tracking.record import SweepRecord
from tests.door import Door
from tests.tracking.server import Server
from tests.tracking.trials import (
    assert_all_is_recorded,
    opened,
    reports,
    result_of,
    run_trial,
    summary,
)


@pytest.fixture(scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def server(_server: Server) -> Server:
    """A server that answers; it takes seconds to start."""
    _server.start()
    return _server


@pytest.fixture
def door(server: Server) -> Iterator[Door]:
    door = Door(server.port)
    yield door
    door.shut()


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> SweepFolder:
    root = tmp_path / request.node.name[:60]
    root.mkdir()
    return SweepFolder(root)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdray.tracking.record.SERVER_PATIENCE_S", 1.0)


def test_a_server_that_goes_away_and_comes_back_gets_everything_once(
    server: Server, door: Door, folder: SweepFolder
) -> None:
    record = opened(folder, door)
    for index in range(3):
        run_trial(record, folder, index)
    door.shut()
    began = time.monotonic()
    for index in range(3, 6):
        run_trial(record, folder, index)
    assert time.monotonic() - began < 5  # who tells does not wait for the server
    door.open()
    for index in range(6, 8):
        run_trial(record, folder, index)
    assert len(record.flush()) == 8
    record.finish(summary(8), True)
    assert record.failure is None
    assert_all_is_recorded(server, folder)


@pytest.mark.slow
def test_a_server_that_is_killed_again_and_again_while_trials_end_gets_everything_once(
    server: Server, folder: SweepFolder
) -> None:
    record = opened(folder, server)

    def run_trials() -> None:
        for index in range(60):
            run_trial(record, folder, index)
            time.sleep(0.3)

    trials = threading.Thread(target=run_trials)
    trials.start()
    for alive, away in ((1.0, 2.0), (2.3, 0.0), (3.1, 5.0)):
        time.sleep(alive)
        server.kill()
        time.sleep(away)
        server.start()
    trials.join()
    record.finish(summary(60), True)
    assert record.failure is None
    assert_all_is_recorded(server, folder)


@pytest.mark.slow
def test_a_server_that_is_away_for_more_than_a_minute_gets_everything_once(
    server: Server, folder: SweepFolder
) -> None:
    record = opened(folder, server)
    run_trial(record, folder, 0)
    server.kill()
    run_trial(record, folder, 1)
    time.sleep(60)
    run_trial(record, folder, 2)
    server.start()
    record.finish(summary(3), True)
    assert record.failure is None
    assert_all_is_recorded(server, folder)


@pytest.mark.slow
def test_a_run_that_was_made_without_an_answer_is_not_made_twice(
    server: Server, folder: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    record = opened(folder, server)
    record.flush()
    server.signal(signal.SIGSTOP)  # it takes requests, and answers when nobody listens any more
    for index in range(2):
        run_trial(record, folder, index)
    time.sleep(4)
    server.signal(signal.SIGCONT)
    record.finish(summary(2), True)
    assert record.failure is None
    assert_all_is_recorded(server, folder)


@pytest.mark.usefixtures("_impatient")
def test_a_server_that_stays_away_is_given_up_and_a_resume_writes_all_that_is_missing(
    server: Server, door: Door, folder: SweepFolder
) -> None:
    record = opened(folder, door)
    run_trial(record, folder, 0)
    cut = result_of(1)  # its run is there, with one epoch
    record.start_trial(cut.trial_id, cut.parameters)
    record.log_epoch(cut.trial_id, reports(1)[0])
    record.flush()
    door.shut()
    for report in reports(1)[1:]:
        record.log_epoch(cut.trial_id, report)
    write_trial(folder, cut, reports(1))
    record.finish_trial(cut)
    for index in range(2, 6):
        run_trial(record, folder, index)
    record.finish(summary(6), True)
    assert record.failure is not None
    assert "5 trials" in record.failure
    assert f"kdray resume {folder.root}" in record.failure
    door.open()
    again = opened(folder, door)
    assert again.flush().keys() >= {"0000", "0001"}
    again.finish(summary(6), True)
    assert again.failure is None
    assert_all_is_recorded(server, folder)


@pytest.mark.usefixtures("_impatient")
def test_a_sweep_begins_without_its_server_and_is_recorded_when_that_answers(
    server: Server, door: Door, folder: SweepFolder
) -> None:
    door.shut()
    record = opened(folder, door)
    run_trial(record, folder, 0)
    assert record.flush() == {}
    door.open()
    run_trial(record, folder, 1)
    deadline = time.monotonic() + 30
    while len(record.run_ids) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    record.finish(summary(2), True)
    assert record.failure is None
    assert_all_is_recorded(server, folder)


def test_a_trial_that_goes_on_after_a_crash_has_every_epoch_once(
    server: Server, folder: SweepFolder
) -> None:
    crashed = opened(folder, server)
    for index in (0, 2):  # the run of the second is not made any more
        result = result_of(index)
        crashed.start_trial(result.trial_id, result.parameters)
        crashed.log_epoch(result.trial_id, reports(index)[0])
    crashed.flush()
    record = opened(folder, server)
    # From its beginning, from its last epoch, from its second.
    for index, first_again in ((0, 0), (1, 2), (2, 1)):
        result = result_of(index)
        record.start_trial(result.trial_id, result.parameters)
        for report in reports(index)[first_again:]:
            record.log_epoch(result.trial_id, report)
            record.flush()  # each epoch is written by itself, before the folder has them all
        write_trial(folder, result, reports(index))
        record.finish_trial(result)
    record.finish(summary(3), True)
    assert record.failure is None
    assert_all_is_recorded(server, folder)


def test_a_crash_right_after_the_parent_run_was_made_leaves_no_orphan(
    server: Server, folder: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = mlflow.MlflowClient.create_run
    crashed = SweepRecord(folder, f"http://127.0.0.1:{server.port}", None)

    def make_and_crash(*args: Any, **more: Any) -> None:
        make(*args, **more)
        crashed._writer._stopped.set()
        raise ConnectionError

    monkeypatch.setattr(mlflow.MlflowClient, "create_run", make_and_crash)
    crashed.open({})
    crashed._writer._thread.join()
    monkeypatch.undo()
    assert [run.info.status for run in server.runs(folder.name)] == ["RUNNING"]
    record = opened(folder, server)
    run_trial(record, folder, 0)
    record.finish(summary(1), True)
    assert_all_is_recorded(server, folder)


def test_what_the_server_refuses_is_told_once_and_the_rest_is_written(
    server: Server, folder: SweepFolder
) -> None:
    record = opened(folder, server)
    refused = TrialResult("0000", "completed", {"bad": 1, "bad*": 2}, {"macro_f1": 0.5})
    record.finish_trial(refused)
    run_trial(record, folder, 1)
    record.finish(summary(2), True)
    assert record.failure is not None
    assert "bad*" in record.failure
    runs = {run.data.tags.get("trial_id"): run for run in server.runs(folder.name)}
    assert runs["0000"].data.metrics == {"macro_f1": 0.5, "on_front": 1.0}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
