"""A whole sweep in an object store, by the command line."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.fs
import pytest

from kdray.sweep import storage
from kdray.sweep.object_store import child, place
from tests.command_line import kdray
from tests.conftest import AWS
from tests.sweep.mirrors import stored
from tests.tiny_sweep import write_space

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def output(server: str, cluster: None) -> Iterator[str]:
    """URI of a folder of sweeps."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in AWS.items():
            patch.setenv(name, value)
        pyarrow.fs.S3FileSystem(
            endpoint_override=server, scheme="http", allow_bucket_creation=True
        ).create_dir("sweeps")
        yield f"s3://sweeps/team?endpoint_override={server}&scheme=http"


def on(cache: Path, *words: object, code: int = 0) -> str:
    """Runs a command as on a machine with this cache, and returns what it prints."""
    storage._SETTLED.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        return kdray(*words, code=code)


def changed_ns(uri: str, name: str) -> int:
    at = place(uri)
    return int(at.system.get_file_info(f"{at.path}/{name}").mtime_ns)


def test_a_sweep_in_an_object_store_goes_on_on_a_machine_that_has_nothing_of_it(
    output: str, tmp_path: Path
) -> None:
    space, uri = write_space(tmp_path), child(output, "tiny")
    on(tmp_path / "first", "sweep", space, "--output", output, "--trials", "2")
    names = stored(uri)
    assert {"sweep.yaml", "optuna.log", "trials.csv", "summary.json", "report.html"} <= names
    assert {f"trials/{i}/result.json" for i in ("0000", "0001")} <= names
    assert "teacher/verification.json" in names
    kinds = ("trials/", "teacher/")
    before = {name: changed_ns(uri, name) for name in names if name.startswith(kinds)}

    shutil.rmtree(tmp_path / "first")
    said = on(tmp_path / "second", "resume", uri, "--trials", "4")
    assert "[4/4] trial" in said
    names = stored(uri)
    assert {f"trials/{number:04d}/result.json" for number in range(4)} <= names
    kept = {name.split("/")[1] for name in names if name.startswith("students/")}
    front = on(tmp_path / "second", "report", uri)
    assert kept
    assert all(trial_id in front for trial_id in kept)
    assert {name: changed_ns(uri, name) for name in before} == before, "nothing is done twice"

    best = on(tmp_path / "third", "best", uri, "--output", str(tmp_path / "student"))
    assert any(f"\ntrial {trial_id}: " in best for trial_id in kept)
    assert any((tmp_path / "student").glob("*.safetensors"))


def test_a_name_that_is_taken_in_the_store_is_refused_and_without_one_the_next_is_taken(
    output: str, tmp_path: Path
) -> None:
    # The name is that of the sweep of the test above.
    words = ("sweep", write_space(tmp_path), "--output", output, "--trials", "1")
    assert "sweep.yaml" in stored(child(output, "tiny"))
    said = on(tmp_path / "second", *words, "--name", "tiny", code=2)
    assert "is there already; take another name" in said
    on(tmp_path / "second", *words)
    assert "sweep.yaml" in stored(child(output, "tiny-2"))


def test_a_teacher_that_is_not_good_enough_leaves_nothing_in_the_store(
    output: str, tmp_path: Path
) -> None:
    space = write_space(tmp_path, name="weak", teacher={"verify": {"minimum": 0.99}})
    on(tmp_path / "first", "sweep", space, "--output", output, code=1)
    at = place(child(output, "weak"))
    assert at.system.get_file_info(at.path).type == pyarrow.fs.FileType.NotFound


def test_a_bucket_that_is_not_there_ends_a_sweep_before_any_work(
    output: str, tmp_path: Path
) -> None:
    space, nowhere = write_space(tmp_path), output.replace("//sweeps/", "//nowhere/")
    said = on(tmp_path / "first", "sweep", space, "--output", nowhere, code=2)
    assert "there is no such bucket; make it first" in said
    assert "Traceback" not in said
    assert "teacher" not in said
