"""A real MLflow server that a test can kill and start again, and what is in its store."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@dataclass
class Server:
    """An MLflow server on a port of its own, with a SQLite store.

    Attributes:
        root: Folder of its store and log.
        port: Where it listens; the same after each start.
    """

    root: Path
    port: int = field(default_factory=_free_port)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Starts the server, if it was killed, and waits until it answers."""
        if self.process is not None:
            return
        store = f"sqlite:///{self.root / 'server.db'}"
        options = ["--backend-store-uri", store, "--artifacts-destination", str(self.root / "art")]
        options += ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        own = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # which takes processes of its own
        with (self.root / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *options],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=os.environ | own,
            )
        deadline = time.monotonic() + 120
        while not self._answers():
            assert time.monotonic() < deadline, (self.root / "server.log").read_text()[-2000:]
            time.sleep(0.1)

    def signal(self, number: int) -> None:
        """Sends a signal to the server and its workers."""
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """Kills the server and its workers at once."""
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def runs(self, experiment: str) -> list[Any]:
        """Returns every run of an experiment, read past the server."""
        client = self.client()
        found = client.get_experiment_by_name(experiment)
        return list(client.search_runs([found.experiment_id], max_results=1000)) if found else []

    def client(self) -> Any:
        return mlflow.MlflowClient(f"sqlite:///{self.root / 'server.db'}")

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/health", timeout=1
            ) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def histories(client: Any, run: Any) -> dict[str, Counter[tuple[int, float]]]:
    """Returns how often each step and value of each metric is in a run."""
    run_id = run.info.run_id
    return {
        name: Counter((it.step, it.value) for it in client.get_metric_history(run_id, name))
        for name in run.data.metrics
    }
