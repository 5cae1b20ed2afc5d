"""Fixtures for all tests."""

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest
import torch

from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig
from tests.tiny_sweep import tiny_config


@dataclass(frozen=True)
class Tiny:
    """A finished sweep of three trials.

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


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """Real Ray processes, started once for all tests."""
    import ray

    from kdray.sweep.starting import start_ray

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

    from kdray.sweep.run import Launch, run_sweep

    config = tiny_config(output)
    folder, text = SweepFolder(output / "tiny"), io.StringIO()
    run_sweep(config, folder, Launch("kdray sweep tiny.yaml"), Console(file=text, width=200))
    return Tiny(config, folder, text.getvalue())
