"""Fixtures for all tests."""

import io
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest
import torch

from kdray.evaluation import efficiency
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig
from tests.tiny_sweep import ONE_BY_ONE, tiny_config

# A script's background process ignores Ctrl-C, and so would all that a test presses it for.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Of a store on this machine; Ray's workers have the variables with which Ray was started.
AWS = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
}


@dataclass(frozen=True)
class Tiny:
    """A finished sweep of three trials, one after the other.

    Attributes:
        config: Its search space.
        folder: Its folder.
        text: What it printed.
    """

    config: SweepConfig
    folder: SweepFolder
    text: str


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _timed_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of what a tiny trial takes would go into timing it well."""
    monkeypatch.setattr(efficiency, "WARM_UP", 1)
    monkeypatch.setattr(efficiency, "ROUNDS", 5)


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """Real Ray processes, started once for all tests."""
    import ray

    from kdray.sweep.starting import start_ray

    with mock.patch.dict(os.environ, AWS):
        start_ray(None)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of sweeps for all tests, because a new MLflow store takes seconds."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def swept(output: Path, cluster: None) -> Tiny:
    """A finished sweep."""
    from rich.console import Console

    from kdray.sweep.opening import Launch
    from kdray.sweep.run import run_sweep

    config = tiny_config(output, resources=ONE_BY_ONE)
    folder, text = SweepFolder(output / "tiny", typed=str(output / "tiny")), io.StringIO()
    run_sweep(config, folder, Launch("kdray sweep tiny.yaml"), Console(file=text, width=200))
    return Tiny(config, folder, text.getvalue())
