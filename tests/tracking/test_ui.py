import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import mlflow
import psutil
import pytest

from kdray.errors import ConfigError
from kdray.tracking.ui import HOST, open_ui


def sweep(folder: Path, uri: str, experiment: str = "3") -> Path:
    folder.mkdir(parents=True)
    place = {"uri": uri, "experiment_id": experiment, "parent": "7", "sweep": "x"}
    (folder / "tracking.json").write_text(json.dumps(place))
    return folder


def free_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        return int(free.getsockname()[1])


def said(folder: Path, port: int = 5000) -> str:
    lines: list[str] = []
    open_ui(folder, port, lines.append)
    return "\n".join(lines)


def refused(folder: Path, port: int = 5000) -> str:
    with pytest.raises(ConfigError) as caught:
        said(folder, port)
    (problem,) = caught.value.problems
    return str(problem)


def test_a_sweep_on_a_server_is_named_by_its_address_without_the_password(tmp_path: Path) -> None:
    folder = sweep(tmp_path / "runs" / "a", "https://me:secret@mlflow.example:8080/")
    page = "https://mlflow.example:8080/#/experiments/3/runs?workflowType=machine_learning"
    assert said(folder).splitlines() == [
        f"the sweep is recorded on a server of its own: {page}",
        f"the front: {page}&viewStateShareKey=7",
    ]


def test_a_folder_without_a_record_is_refused_with_what_to_name(tmp_path: Path) -> None:
    assert refused(tmp_path).startswith(f"{tmp_path}: holds no record: neither tracking.json nor")


def test_a_sweep_whose_store_is_gone_is_refused_and_no_empty_one_is_made(tmp_path: Path) -> None:
    folder = sweep(tmp_path / "runs" / "a", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    assert "elsewhere.db, which is gone; nor is there" in refused(folder)
    assert not list(tmp_path.rglob("*.db"))


def test_a_port_that_is_taken_is_a_problem_of_its_flag(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        assert refused(tmp_path, port) == (
            f"--port: {port} cannot be had (address already in use); take another one"
        )


def served(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return [one for one in psutil.Process(process.pid).children(recursive=True) if one.is_running()]


def listening(processes: list[psutil.Process]) -> set[Any]:
    sockets = [one for process in processes for one in process.net_connections("inet")]
    return {tuple(one.laddr) for one in sockets if one.status == psutil.CONN_LISTEN}


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=["ctrl_c", "terminated"])
def test_the_ui_shows_the_sweep_to_this_machine_alone_until_it_is_ended(
    tmp_path: Path, ending: signal.Signals
) -> None:
    output, port = tmp_path / "moved", free_port()
    output.mkdir()
    client = mlflow.MlflowClient(f"sqlite:///{output / 'mlflow.db'}")
    experiment = client.create_experiment("tiny", artifact_location=(output / "there").as_uri())
    folder = sweep(output / "tiny", f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}", experiment)
    command = [sys.executable, "-u", "-m", "kdray", "ui", str(folder), "--port", str(port)]
    ui = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert ui.stdout is not None
    address = f"http://{HOST}:{port}/"
    said = next(line for line in ui.stdout if line.startswith("MLflow UI"))
    page = f"{address}#/experiments/{experiment}/runs?workflowType=machine_learning"
    assert said == f"MLflow UI: {page} (Ctrl-C ends it)\n"
    servers = served(ui)
    assert listening(servers) == {(HOST, port)}
    with urllib.request.urlopen(address, timeout=60) as page:
        assert b"MLflow" in page.read()
    query = f"{address}api/2.0/mlflow/experiments/get?experiment_id={experiment}"
    with urllib.request.urlopen(query, timeout=60) as answer:
        assert json.load(answer)["experiment"]["name"] == "tiny"
    ui.send_signal(ending)
    errors = ui.communicate(timeout=60)[1]
    assert ui.returncode == 0
    assert "Traceback" not in errors
    time.sleep(0.5)
    assert not [one for one in servers if one.is_running() and one.status() != "zombie"]
