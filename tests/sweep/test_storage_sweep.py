"""A whole sweep in an object store, by the command line, each command a process of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.fs
import pytest
from moto.server import ThreadedMotoServer

from kdray.sweep.object_store import child, place
from tests.tiny_sweep import write_space

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def output() -> Iterator[str]:
    """URI of a folder of sweeps on a real S3 server on this machine."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        pyarrow.fs.S3FileSystem(
            endpoint_override=f"{host}:{port}", scheme="http", allow_bucket_creation=True
        ).create_dir("sweeps")
        yield f"s3://sweeps/team?endpoint_override={host}:{port}&scheme=http"
    server.stop()


def kdray(cache: Path, *words: str, code: int = 0) -> str:
    """Runs a command as on a machine with this cache, and returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "kdray", *words],
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def stored(uri: str) -> set[str]:
    at = place(uri)
    found = at.system.get_file_info(pyarrow.fs.FileSelector(at.path, recursive=True))
    paths = {info.path for info in found if info.type == pyarrow.fs.FileType.File}
    return {path.removeprefix(f"{at.path}/") for path in paths}


def changed_ns(uri: str, name: str) -> int:
    at = place(uri)
    return int(at.system.get_file_info(f"{at.path}/{name}").mtime_ns)


def test_a_sweep_in_an_object_store_goes_on_on_a_machine_that_has_nothing_of_it(
    output: str, tmp_path: Path
) -> None:
    space, uri = write_space(tmp_path), child(output, "tiny")
    kdray(tmp_path / "first", "sweep", str(space), "--output", output, "--trials", "2")
    names = stored(uri)
    assert {"sweep.yaml", "optuna.log", "trials.csv", "summary.json", "report.html"} <= names
    assert {f"trials/{i}/result.json" for i in ("0000", "0001")} <= names
    assert "teacher/verification.json" in names
    kinds = ("trials/", "teacher/")
    before = {name: changed_ns(uri, name) for name in names if name.startswith(kinds)}

    shutil.rmtree(tmp_path / "first")
    said = kdray(tmp_path / "second", "resume", uri, "--trials", "4")
    assert "[4/4] trial" in said
    names = stored(uri)
    assert {f"trials/{number:04d}/result.json" for number in range(4)} <= names
    kept = {name.split("/")[1] for name in names if name.startswith("students/")}
    front = kdray(tmp_path / "second", "report", uri)
    assert kept
    assert all(trial_id in front for trial_id in kept)
    assert {name: changed_ns(uri, name) for name in before} == before, "nothing is done twice"

    best = kdray(tmp_path / "third", "best", uri, "--output", str(tmp_path / "student"))
    assert best.split()[1] in kept
    assert any((tmp_path / "student").glob("*.safetensors"))


def test_a_name_that_is_taken_in_the_store_is_refused_and_without_one_the_next_is_taken(
    output: str, tmp_path: Path
) -> None:
    space = write_space(tmp_path, name="named")
    words = ("sweep", str(space), "--output", output, "--trials", "1")
    kdray(tmp_path / "first", *words)
    said = kdray(tmp_path / "second", *words, "--name", "named", code=2)
    assert "is there already; take another name" in said
    kdray(tmp_path / "second", *words)
    assert "sweep.yaml" in stored(child(output, "named-2"))


def test_a_teacher_that_is_not_good_enough_leaves_nothing_in_the_store(
    output: str, tmp_path: Path
) -> None:
    space = write_space(tmp_path, name="weak", teacher={"verify": {"minimum": 0.99}})
    kdray(tmp_path / "first", "sweep", str(space), "--output", output, code=1)
    at = place(child(output, "weak"))
    assert at.system.get_file_info(at.path).type == pyarrow.fs.FileType.NotFound


def test_a_bucket_that_is_not_there_ends_a_sweep_before_any_work(
    output: str, tmp_path: Path
) -> None:
    space, nowhere = write_space(tmp_path), output.replace("//sweeps/", "//nowhere/")
    said = kdray(tmp_path / "first", "sweep", str(space), "--output", nowhere, code=2)
    assert "there is no such bucket; make it first" in said
    assert "Traceback" not in said
    assert "teacher" not in said
