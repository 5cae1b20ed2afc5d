"""Workers that are forked from a process with their imports done."""

import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from kdray.sweep import forking
from kdray.sweep.forked_worker import __file__ as forked_worker

OWNER = """
import sys
from kdray.sweep.forking import _start_server
_start_server(sys.argv[1])
print("started", flush=True)
sys.stdin.read()
"""
SCRIPT = """
import os, signal, subprocess, sys
loaded = "here" if "transformers.modeling_utils" in sys.modules else "not here"
print(__name__, sys.argv[1:], os.environ["COLOUR"], os.getcwd(), loaded, "ray" in sys.modules)
print(os.getpgid(0) == os.getpid(), signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL)
print(sys.stdin.read(), subprocess.call(["false"]), file=sys.stderr)
sys.exit(3)
"""


@contextmanager
def owner_of(address: str) -> Iterator[int]:
    """Yields the number of a process that has started a server, and kills it."""
    command = [sys.executable, "-c", OWNER, address]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "started\n"
        yield owner.pid
        owner.kill()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server's address."""
    address = str(tmp_path_factory.mktemp("fork") / "workers")
    with owner_of(address):
        yield address


@pytest.fixture
def script(tmp_path: Path) -> str:
    """Path of a script that tells how it was run."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT, encoding="utf-8")
    return str(path)


def started(address: str, script: str, folder: Path) -> Any:
    """Runs a script as Ray runs a worker's."""
    command = [sys.executable, "-I", "-S", forked_worker, sys.executable, address, script, "--a=b"]
    environment = {**os.environ, "COLOUR": "blue"}
    return subprocess.run(
        command,
        check=False,
        input="typed",
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
    )


def refuse(listening: socket.socket) -> None:
    """Answers one who asks for a worker with nothing."""
    listening.accept()[0].close()


def test_a_forked_worker_is_as_if_started_but_has_its_imports(
    served: str, script: str, tmp_path: Path
) -> None:
    done = started(served, script, tmp_path)
    first, second = done.stdout.splitlines()
    assert first == f"__main__ ['--a=b'] blue {tmp_path} here False"
    assert second == "True True"
    assert done.stderr == "typed 1\n"


def test_where_no_server_is_a_worker_is_started(script: str, tmp_path: Path) -> None:
    done = started(str(tmp_path / "nobody"), script, tmp_path)
    assert done.stdout.startswith(f"__main__ ['--a=b'] blue {tmp_path} not here False")
    assert done.returncode == 3


def test_where_no_process_can_be_forked_a_worker_is_started(script: str, tmp_path: Path) -> None:
    address = str(tmp_path / "workers")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        threading.Thread(target=refuse, args=(listening,)).start()
        assert "not here" in started(address, script, tmp_path).stdout


def test_who_is_ended_while_asking_does_not_end_the_server(
    served: str, script: str, tmp_path: Path
) -> None:
    for said in (b"", b'{"argv": ['):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(served)
            connection.sendall(said)
    assert "not here" not in started(served, script, tmp_path).stdout


def test_the_server_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    with owner_of(str(tmp_path / "workers")) as owner:
        (server,) = psutil.Process(owner).children()
    server.wait(60)


@pytest.mark.parametrize("reason", ["gpu", "system", "path"])
def test_where_workers_cannot_be_forked_ray_starts_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reason: str
) -> None:
    forking.forking_python.cache_clear()
    if reason == "gpu":
        monkeypatch.setattr(forking, "_GPUS", (tmp_path,))
    elif reason == "system":
        monkeypatch.setattr(sys, "platform", "darwin")
    else:
        long = tmp_path / ("x" * 120)
        long.mkdir()
        monkeypatch.setattr(tempfile, "mkdtemp", lambda prefix: str(long))
    assert forking.forking_python() is None
    forking.forking_python.cache_clear()


def test_no_server_is_started_for_a_cluster_that_is_joined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = list[str]()
    monkeypatch.setattr(forking, "forking_python", lambda: asked.append("here"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    forking.warm_up("head:6379")
    assert not asked
    forking.warm_up(None)
    assert asked == ["here"]


@pytest.mark.ray
def test_workers_of_a_sweep_are_forked(cluster: None) -> None:
    if forking.forking_python() is None:
        pytest.skip("with a GPU workers are started")

    def task() -> tuple[str, bool]:
        parent = psutil.Process(os.getppid()).cmdline()
        return " ".join(parent), "transformers.modeling_utils" in sys.modules

    parent, loaded = ray.get(ray.remote(num_cpus=0.1)(task).remote())
    assert "fork_server" in parent
    assert loaded
