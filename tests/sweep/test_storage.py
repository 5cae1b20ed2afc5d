"""Sweeps in a real S3 server on this machine."""

import multiprocessing
import pickle
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.fs
import pytest
from moto.server import ThreadedMotoServer

from kdray.errors import ConfigError, SweepError
from kdray.results.folder import SweepFolder, write_text, write_trial
from kdray.results.records import TrialResult
from kdray.sweep import object_store
from kdray.sweep.object_store import check, child, insisting, last_name, mirror_root, place
from kdray.sweep.storage import Mirror, begun_sweep, new_sweep

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    started = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    started.start()
    host, port = started.get_host_and_port()
    yield f"{host}:{port}"
    started.stop()


@pytest.fixture
def output(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """URI of a folder of sweeps in a new bucket; this machine has mirrored nothing of it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for key in KEYS:
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
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


def begun(output: str, name: str = "tiny") -> Mirror:
    folder = new_sweep(output, name)
    write_text(folder.sweep_yaml, "config: {}\n")
    folder.share(folder.sweep_yaml)
    return folder


def finish(folder: Mirror, trial_id: str, status: Any = "completed") -> TrialResult:
    result = TrialResult(trial_id, status, parameters={}, metrics={"macro_f1": 0.5})
    write_text(folder.student(trial_id) / "model.safetensors", "weights")
    files = {"config.yaml": lambda path: path.write_text("threads: 1\n")}
    write_trial(folder, result, files=files)
    folder.share(folder.student(trial_id), folder.trial(trial_id))
    return result


def stored(folder: Mirror) -> set[str]:
    at = place(folder.uri)
    found = at.system.get_file_info(pyarrow.fs.FileSelector(at.path, recursive=True))
    paths = {info.path for info in found if info.type == pyarrow.fs.FileType.File}
    return {path.removeprefix(f"{at.path}/") for path in paths}


def test_a_sweep_that_one_machine_wrote_is_read_on_another(
    output: str, elsewhere: Callable[[], None]
) -> None:
    here = begun(output)
    write_text(here.verification_json, "{}")
    write_text(here.teacher_outputs / "logits.npy", "large")
    here.share(here.teacher)
    result = finish(here, "0000")
    elsewhere()
    there = begun_sweep(here.uri)
    assert there.root != here.root
    assert there.name == "tiny"
    assert there.results() == [result]
    assert there.verification_json.exists()
    assert (there.trial("0000") / "config.yaml").read_text() == "threads: 1\n"


def test_what_is_large_is_fetched_by_name_alone(output: str, elsewhere: Callable[[], None]) -> None:
    here = begun(output)
    finish(here, "0000")
    large = here.teacher_outputs, here.checkpoint("0001")
    for folder in large:
        write_text(folder / "some.file", "large")
    here.share(here.root)
    elsewhere()
    there = begun_sweep(here.uri)
    wanted = there.student("0000"), there.teacher_outputs, there.checkpoint("0001")
    assert not any(folder.exists() for folder in wanted)
    there.fetch(*wanted)
    assert all(any(folder.iterdir()) for folder in wanted)


def test_a_trial_is_known_on_another_machine_as_soon_as_it_is_shared(
    output: str, elsewhere: Callable[[], None]
) -> None:
    here = begun(output)
    elsewhere()
    there = begun_sweep(here.uri)
    assert there.result("0000") is None
    result = finish(here, "0000", "stopped_early")
    assert there.result("0000") == result


def test_a_baseline_is_shared_beside_its_trial_and_leaves_the_trials_student_alone(
    output: str, elsewhere: Callable[[], None]
) -> None:
    here = begun(output)
    finish(here, "0000")
    write_text(here.student("0000") / "model.safetensors", "half of it, here")
    found = TrialResult("0000", "completed", metrics={"macro_f1": 0.4})
    write_trial(here.baselines, found)
    assert {"baselines/0000/result.json", "students/0000/model.safetensors"} <= stored(here)
    elsewhere()
    there = begun_sweep(here.uri)
    assert there.baselines.results() == [found]
    assert there.baselines.uri == here.uri
    there.fetch(there.student("0000"))
    assert (there.student("0000") / "model.safetensors").read_text() == "weights"


@pytest.mark.parametrize("kind", ["baselines", "confirmations"])
def test_what_runs_beside_a_trial_is_none_while_its_result_is_not_there(
    output: str, elsewhere: Callable[[], None], kind: str
) -> None:
    here = replace(begun(output), kind=kind)
    write_text(here.trial("0000") / "config.yaml", "half")
    here.share(here.trial("0000"))
    elsewhere()
    there = replace(begun_sweep(here.uri), kind=kind)
    assert there.result("0000") is None
    assert not there.trial("0000").exists()


def test_a_trial_whose_result_is_not_there_yet_is_no_trial(
    output: str, elsewhere: Callable[[], None]
) -> None:
    here = begun(output)
    write_text(here.trial("0000") / "config.yaml", "half")
    here.share(here.trial("0000"))
    assert "trials/0000/config.yaml" in stored(here)
    elsewhere()
    there = begun_sweep(here.uri)
    assert there.result("0000") is None
    assert not there.trial("0000").exists()


def test_the_result_is_uploaded_last_and_taken_away_first(
    output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = begun(output)
    finish(here, "0000", "failed")
    (here.trial("0000") / "predictions.npz").write_text("more")
    here.share(here.trial("0000"))

    def broken(file: Path, at: Any, name: str) -> None:
        raise OSError("the store is away")

    monkeypatch.setattr("kdray.sweep.copying._copy_up", broken)
    write_text(here.trial("0000") / "result.json", "{}")
    with pytest.raises(SweepError, match=r"the store is away\n.* is in .*kdray resume 's3://"):
        here.share(here.trial("0000"))
    left = {name for name in stored(here) if name.startswith("trials/")}
    assert left == {
        f"trials/0000/{name}" for name in ("config.yaml", "epochs.jsonl", "predictions.npz")
    }


def test_a_trial_that_is_done_again_leaves_nothing_of_the_first_time(output: str) -> None:
    here = begun(output)
    finish(here, "0000", "failed")
    (here.trial("0000") / "predictions.npz").write_text("of before")
    here.share(here.trial("0000"))
    finish(here, "0000")
    names = {"config.yaml", "epochs.jsonl", "result.json"}
    assert {n for n in stored(here) if n.startswith("trials/")} == {
        f"trials/0000/{n}" for n in names
    }


def test_a_machine_gives_a_student_away_and_keeps_no_copy(
    output: str, elsewhere: Callable[[], None]
) -> None:
    here = begun(output)
    finish(here, "0000")
    assert not here.student("0000").exists()
    assert here.result("0000") is not None
    assert here.students() == ["0000"]
    here.share(here.root)
    assert "students/0000/model.safetensors" in stored(here)
    here.fetch(here.student("0000"))
    assert (here.student("0000") / "model.safetensors").read_text() == "weights"


def test_a_plain_folder_keeps_its_students(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    write_text(folder.student("0000") / "model.safetensors", "weights")
    write_trial(folder, TrialResult("0000", "completed", parameters={}, metrics={}))
    assert folder.students() == ["0000"]


def test_what_has_not_changed_is_not_copied_again(
    output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = begun(output)
    finish(here, "0000")
    copied: list[str] = []
    real = object_store.pyarrow.fs.copy_files

    def counted(source: str, *rest: Any, **more: Any) -> None:
        copied.append(Path(source).name)
        real(source, *rest, **more)

    monkeypatch.setattr("kdray.sweep.copying.copy_files", counted)
    here.share(here.root)
    here.fetch(here.root)
    assert copied == []
    write_text(here.sweep_yaml, "config: {}\n")
    here.share(here.root)
    assert copied == ["sweep.yaml"]


def test_the_newer_of_two_files_stays(output: str, elsewhere: Callable[[str], None]) -> None:
    here = begun(output)
    elsewhere("other")
    there = begun_sweep(here.uri)
    write_text(there.sweep_yaml, "of the other machine, after a while")
    there.share(there.root)
    write_text(there.sweep_yaml, "newer still")
    there.fetch(there.root)
    assert there.sweep_yaml.read_text() == "newer still"


def test_a_removed_student_is_gone_everywhere(output: str, elsewhere: Callable[[], None]) -> None:
    here = begun(output)
    finish(here, "0000")
    finish(here, "0001")
    elsewhere()
    there = begun_sweep(here.uri)
    assert there.students() == ["0000", "0001"]
    there.remove(there.student("0000"))
    assert there.students() == ["0001"]
    assert "students/0000/model.safetensors" not in stored(here)
    assert "trials/0000/result.json" in stored(here)


def test_a_new_sweep_sees_that_its_name_is_taken_and_by_what(
    output: str, elsewhere: Callable[[], None]
) -> None:
    here = new_sweep(output, "tiny")
    assert not here.exists()
    write_text(here.teacher / "config.json", "{}")
    assert new_sweep(output, "tiny").exists(), "it is being prepared"
    here.share(here.teacher)
    elsewhere()
    assert new_sweep(output, "tiny").exists()
    assert not new_sweep(output, "other").exists()


def test_what_a_deleted_sweep_left_here_does_not_get_into_the_next_of_its_name(
    output: str, elsewhere: Callable[[str], None]
) -> None:
    first = begun(output)
    finish(first, "0000")
    at = place(first.uri)
    at.system.delete_dir(at.path)
    elsewhere("other")
    second = begun(output)
    finish(second, "0007")
    elsewhere("cache")
    object_store_forgets()
    assert [r.trial_id for r in begun_sweep(first.uri).results()] == ["0007"]
    at.system.delete_dir(at.path)
    assert not new_sweep(output, "tiny").root.exists()


def object_store_forgets() -> None:
    """Goes on as in a new process."""
    from kdray.sweep import storage

    storage._SETTLED.clear()


def fetch_in_a_process(folder: Mirror) -> None:
    folder.fetch(folder.root, folder.student("0000"))


@pytest.mark.slow
def test_processes_of_one_machine_fetch_the_same_sweep_side_by_side(
    output: str, elsewhere: Callable[[], None]
) -> None:
    here = begun(output)
    for number in range(6):
        finish(here, f"{number:04d}")
    elsewhere()
    there = Mirror(mirror_root(here.uri), here.uri)
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.map(fetch_in_a_process, [there] * 3)
    assert len(there.results()) == 6
    assert (there.student("0000") / "model.safetensors").read_text() == "weights"


def test_a_mirror_travels_to_other_processes(output: str) -> None:
    here = begun(output)
    assert pickle.loads(pickle.dumps(here)) == here
    assert isinstance(here, SweepFolder)
    assert here.address == here.uri


def test_an_emptied_mirror_is_filled_again(output: str) -> None:
    here = begun(output)
    result = finish(here, "0000")
    shutil.rmtree(here.root)
    assert begun_sweep(here.uri, writable=True).results() == [result]


def test_a_place_that_holds_no_sweep_is_told(output: str) -> None:
    with pytest.raises(ConfigError, match=r"s3://.*/none\?.*: is no sweep: it has no sweep\.yaml"):
        begun_sweep(child(output, "none"))


def test_a_bucket_that_is_not_there_is_told_before_any_work(server: str, output: str) -> None:
    uri = f"s3://nowhere/runs?endpoint_override={server}&scheme=http"
    for ask in (lambda: new_sweep(uri, "tiny"), lambda: begun_sweep(uri)):
        with pytest.raises(ConfigError, match=r"output: s3://nowhere/.* no such bucket; make it"):
            ask()


def test_a_store_that_nobody_answers_at_is_told(output: str) -> None:
    with pytest.raises(
        ConfigError, match=r"cannot be reached; look at the endpoint .*127\.0\.0\.1"
    ):
        new_sweep("s3://bucket/runs?endpoint_override=127.0.0.1:9&scheme=http", "tiny")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("foo://bucket/runs", "Unrecognized filesystem type"),
        ("s3://", "must name a bucket: s3://BUCKET/PATH, or be a folder"),
        ("file:///runs", "must name a bucket: s3://BUCKET/PATH, or be a folder"),
        ("s3://bucket/runs?endpoint=x", "Unexpected query parameter in S3 URI: 'endpoint'"),
        ("s3://bucket/my runs?scheme=http", "Cannot parse URI"),
    ],
)
def test_a_uri_that_names_no_place_is_told(uri: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        place(uri)
    assert message in str(caught.value)


def test_credentials_in_a_uri_are_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match=r"credentials.*AWS_ACCESS_KEY_ID") as caught:
        place("s3://AKIA:topsecret@bucket/runs?scheme=http")
    assert "topsecret" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "way_out"),
    [
        ("ACCESS_DENIED", "AWS_ACCESS_KEY_ID"),
        ("NO_SUCH_BUCKET", "make it first"),
        ("NETWORK_CONNECTION", "look at the endpoint"),
    ],
)
def test_what_a_store_says_comes_with_the_way_out(code: str, way_out: str) -> None:
    told = object_store.reason(OSError(f"When writing: AWS Error {code} during PutObject: no"))
    assert way_out in told
    assert "PutObject" in told


def test_a_store_that_is_away_for_a_moment_costs_nothing_but_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(object_store, "_PAUSES", (0.0, 0.0))
    failures = iter([OSError("away"), OSError("away")])

    def act() -> str:
        if error := next(failures, None):
            raise error
        return "done"

    assert insisting(act) == "done"


def test_a_check_leaves_nothing_behind(output: str) -> None:
    check(output, writable=True)
    at = place(output)
    found = at.system.get_file_info(pyarrow.fs.FileSelector(at.path, allow_not_found=True))
    assert found == []


def test_names_are_kept_apart_and_come_back_from_their_uri(output: str) -> None:
    uri = child(output, "my sweep/ü")
    assert last_name(uri) == "my sweep/ü"
    assert place(uri).path == f"{place(output).path}/my sweep/ü"
    assert mirror_root(child(output, "a")).parent == mirror_root(child(output, "b")).parent
    other = output.replace("/team/", "/others/")
    assert mirror_root(child(output, "a")) != mirror_root(child(other, "a"))
