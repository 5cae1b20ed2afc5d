"""The MLflow UI on the store of a sweep: for this machine alone, until Ctrl-C."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from kdray.errors import ConfigError, KdrayError, Problem
from kdray.results.folder import SweepFolder
from kdray.tracking.place import LOCAL, Place, find_place
from kdray.tracking.views import front_page, runs_page

HOST = "127.0.0.1"
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_PATIENCE_S = 10.0


def open_ui(folder: Path, port: int, say: Callable[[str], None]) -> None:
    """Serves the UI until Ctrl-C; of a sweep on a tracking server only says where that is.

    Args:
        folder: A sweep's folder, or the folder of sweeps.
        port: Port on this machine, 1 to 65535.
        say: Takes the lines that name the addresses: of the runs, and of the sweep's front.

    Raises:
        ConfigError: If no sweep is recorded there, or another program has the port.
        KdrayError: If MLflow ends by itself.
    """
    place = _place(folder.resolve())
    if urlsplit(place.uri).scheme.partition("+")[0] not in _DATABASES:
        address = _public(place.uri)
        say(f"the sweep is recorded on a server of its own: {address}/{runs_page(place)}")
        _say_front(place, address, say)
        return
    _check_port(port)
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)
    server, address = _start(place.uri, port), f"http://{HOST}:{port}"
    try:
        _await_answer(server, port)
        if server.poll() is None:
            say(f"MLflow UI: {address}/{runs_page(place)} (Ctrl-C ends it)")
            _say_front(place, address, say)
        code = server.wait()
    except KeyboardInterrupt:
        return
    finally:
        _end(server)
    raise KdrayError(f"MLflow ended by itself with exit code {code}; what it said stands above")


def _say_front(place: Place, address: str, say: Callable[[str], None]) -> None:
    if place.parent:
        say(f"the front: {address}/{front_page(place)}")


def _place(folder: Path) -> Place:
    """Returns where a sweep is recorded; of a folder of sweeps only the store."""
    if not SweepFolder(folder).tracking_json.is_file():
        if (folder / "mlflow.db").is_file():
            return Place(f"{LOCAL}{folder / 'mlflow.db'}")
        message = (
            "holds no record: neither tracking.json nor mlflow.db; name a sweep's folder, "
            "runs/NAME, or the folder of sweeps"
        )
        raise ConfigError([Problem(str(folder), message)])
    return find_place(SweepFolder(folder))


def _public(uri: str) -> str:
    """Returns an address without the name and password that may stand in it."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")


def _check_port(port: int) -> None:
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            free.bind((HOST, port))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            message = f"{port} cannot be had ({reason}); take another one"
            raise ConfigError([Problem("--port", message)]) from None


def _start(uri: str, port: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)]
    command += ["--workers", "1", "--uvicorn-opts", "--log-level warning"]
    if uri.startswith(LOCAL):
        artifacts = Path(uri.removeprefix(LOCAL)).parent / "mlartifacts"
        command += ["--artifacts-destination", str(artifacts)]
    # The URI may hold a password, and everybody can read a command line.
    own = {"MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    # In a session of its own, so that Ctrl-C reaches kdray alone, which then ends all of it.
    return subprocess.Popen(command, env=os.environ | own, start_new_session=True)


def _await_answer(server: "subprocess.Popen[bytes]", port: int) -> None:
    while server.poll() is None:
        with socket.socket() as asking:
            if asking.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.1)


def _end(server: "subprocess.Popen[bytes]") -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for ending in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, ending)
            server.wait(_PATIENCE_S)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
