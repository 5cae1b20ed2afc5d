"""A real head of a Ray cluster with a dashboard and a token."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

# Another home would have matplotlib look through all fonts again.
_CACHES = {"XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))}


@dataclass(frozen=True)
class Head:
    """A running head.

    Attributes:
        port: Of its dashboard.
        token: The file with its token.
        home: The home of its jobs.
        own_port: Where drivers and nodes join it.
    """

    port: int
    token: Path
    home: Path
    own_port: int = 0

    @property
    def address(self) -> str:
        """Of its dashboard."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self, home: Path, **variables: str) -> dict[str, str]:
        """The variables of a user's machine; the token is in a file, unless others are given."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        token = {"RAY_AUTH_TOKEN_PATH": str(self.token)} if not variables else {}
        return {**kept, "HOME": str(home), **_CACHES, "PYTHONUNBUFFERED": "1", **token, **variables}

    def jobs(self, path: str = "") -> Any:
        """What the job API answers."""
        headers = {"Authorization": f"Bearer {self.token.read_text()}"}
        with urlopen(
            Request(f"{self.address}/api/jobs/{path}", headers=headers), timeout=30
        ) as got:
            return json.load(got)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_head() -> Iterator[Head]:
    """Starts a head of two cores, and ends it with all that it started."""
    # Ray's sockets have names of at most 107 characters: pytest's folders are too deep.
    with tempfile.TemporaryDirectory(prefix="kdray-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        head = Head(free_port(), root / "token", root / "home", free_port())
        head.home.mkdir()
        head.token.write_text(secrets.token_hex(32))
        process = _start(root, head)
        try:
            _wait_for(head)
            yield head
        finally:
            _end(process)


def _start(root: Path, head: Head) -> subprocess.Popen[bytes]:
    tools = Path(sys.executable).parent
    options = {
        "port": head.own_port,
        "dashboard-port": head.port,
        "include-dashboard": "true",
        "dashboard-agent-listen-port": free_port(),
        "ray-client-server-port": free_port(),
        "temp-dir": root / "ray",
        "num-cpus": 2,
        "object-store-memory": 200_000_000,
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    environment = os.environ | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "HOME": str(head.home),
        **_CACHES,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(head.token),
    }
    command = [str(tools / "ray"), "start", "--head", "--block", "--disable-usage-stats", *flags]
    with (root / "head.log").open("wb") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, start_new_session=True
        )


def _wait_for(head: Head) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with suppress(OSError):
            head.jobs()
            return
        time.sleep(0.5)
    raise TimeoutError("the head's dashboard does not answer")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(30)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
