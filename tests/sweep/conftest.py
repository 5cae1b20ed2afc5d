"""A real S3 server on this machine."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.fs
import pytest
from moto.server import ThreadedMotoServer

from kdray.sweep import object_store
from tests.conftest import AWS

KEYS = ("AWS_SESSION_TOKEN", "AWS_PROFILE")


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Host and port of a real S3 server on this machine."""
    started = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    started.start()
    host, port = started.get_host_and_port()
    yield f"{host}:{port}"
    started.stop()


@pytest.fixture
def store(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """URI of a folder of sweeps in a new bucket; this machine has mirrored nothing of it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for key in KEYS:
        monkeypatch.delenv(key, raising=False)
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(object_store, "_PAUSES", (0.01,))
    bucket = tmp_path.name.replace("_", "-").lower()[:60]
    pyarrow.fs.S3FileSystem(
        endpoint_override=server, scheme="http", allow_bucket_creation=True
    ).create_dir(bucket)
    return f"s3://{bucket}/team/runs?endpoint_override={server}&scheme=http"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Goes on as on another machine, which has a cache of its own."""

    def move(name: str = "other") -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))

    return move
