"""Sweeps in a real S3 server on this machine, and their mirrors."""

import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kdray.errors import ConfigError
from kdray.results.folder import SweepFolder, write_text, write_trial
from kdray.results.records import TrialResult
from kdray.sweep import storage
from kdray.sweep.object_store import child, place
from kdray.sweep.storage import begun_sweep, new_sweep
from tests.sweep.mirrors import begun, finish, stored


def test_a_sweep_that_one_machine_wrote_is_read_on_another(
    store: str, elsewhere: Callable[[], None]
) -> None:
    here = begun(store)
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


def test_a_trial_is_known_on_another_machine_as_soon_as_it_is_shared(
    store: str, elsewhere: Callable[[], None]
) -> None:
    here = begun(store)
    elsewhere()
    there = begun_sweep(here.uri)
    assert there.result("0000") is None
    result = finish(here, "0000", "stopped_early")
    assert there.result("0000") == result


def test_a_baseline_is_shared_beside_its_trial_and_leaves_the_trials_student_alone(
    store: str, elsewhere: Callable[[], None]
) -> None:
    here = begun(store)
    finish(here, "0000")
    write_text(here.student("0000") / "model.safetensors", "half of it, here")
    found = TrialResult("0000", "completed", metrics={"macro_f1": 0.4})
    write_trial(here.baselines, found)
    assert {"baselines/0000/result.json", "students/0000/model.safetensors"} <= stored(here.uri)
    elsewhere()
    there = begun_sweep(here.uri)
    assert there.baselines.results() == [found]
    assert there.baselines.uri == here.uri
    there.fetch(there.student("0000"))
    assert (there.student("0000") / "model.safetensors").read_text() == "weights"


@pytest.mark.parametrize("kind", ["baselines", "confirmations"])
def test_what_runs_beside_a_trial_is_none_while_its_result_is_not_there(
    store: str, elsewhere: Callable[[], None], kind: str
) -> None:
    here = replace(begun(store), kind=kind)
    write_text(here.trial("0000") / "config.yaml", "half")
    here.share(here.trial("0000"))
    elsewhere()
    there = replace(begun_sweep(here.uri), kind=kind)
    assert there.result("0000") is None
    assert not there.trial("0000").exists()


def test_a_trial_whose_result_is_not_there_yet_is_no_trial(
    store: str, elsewhere: Callable[[], None]
) -> None:
    here = begun(store)
    write_text(here.trial("0000") / "config.yaml", "half")
    here.share(here.trial("0000"))
    assert "trials/0000/config.yaml" in stored(here.uri)
    elsewhere()
    there = begun_sweep(here.uri)
    assert there.result("0000") is None
    assert not there.trial("0000").exists()


def test_a_machine_gives_a_student_away_and_keeps_no_copy(
    store: str, elsewhere: Callable[[], None]
) -> None:
    here = begun(store)
    finish(here, "0000")
    assert not here.student("0000").exists()
    assert here.result("0000") is not None
    assert here.students() == ["0000"]
    here.share(here.root)
    assert "students/0000/model.safetensors" in stored(here.uri)
    here.fetch(here.student("0000"))
    assert (here.student("0000") / "model.safetensors").read_text() == "weights"


def test_a_plain_folder_keeps_its_students(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    write_text(folder.student("0000") / "model.safetensors", "weights")
    write_trial(folder, TrialResult("0000", "completed", parameters={}, metrics={}))
    assert folder.students() == ["0000"]


def test_a_removed_student_is_gone_everywhere(store: str, elsewhere: Callable[[], None]) -> None:
    here = begun(store)
    finish(here, "0000")
    finish(here, "0001")
    elsewhere()
    there = begun_sweep(here.uri)
    assert there.students() == ["0000", "0001"]
    there.remove(there.student("0000"))
    assert there.students() == ["0001"]
    assert "students/0000/model.safetensors" not in stored(here.uri)
    assert "trials/0000/result.json" in stored(here.uri)


def test_a_new_sweep_sees_that_its_name_is_taken_and_by_what(
    store: str, elsewhere: Callable[[], None]
) -> None:
    here = new_sweep(store, "tiny")
    assert not here.exists()
    write_text(here.teacher / "config.json", "{}")
    assert new_sweep(store, "tiny").exists(), "it is being prepared"
    here.share(here.teacher)
    elsewhere()
    assert new_sweep(store, "tiny").exists()
    assert not new_sweep(store, "other").exists()


def test_what_a_deleted_sweep_left_here_does_not_get_into_the_next_of_its_name(
    store: str, elsewhere: Callable[[str], None]
) -> None:
    first = begun(store)
    finish(first, "0000")
    at = place(first.uri)
    at.system.delete_dir(at.path)
    elsewhere("other")
    second = begun(store)
    finish(second, "0007")
    elsewhere("cache")
    object_store_forgets()
    assert [r.trial_id for r in begun_sweep(first.uri).results()] == ["0007"]
    at.system.delete_dir(at.path)
    assert not new_sweep(store, "tiny").root.exists()


def object_store_forgets() -> None:
    """Goes on as in a new process."""
    storage._SETTLED.clear()


def test_a_mirror_travels_to_other_processes(store: str) -> None:
    here = begun(store)
    assert pickle.loads(pickle.dumps(here)) == here
    assert isinstance(here, SweepFolder)
    assert here.address == here.uri


def test_an_emptied_mirror_is_filled_again(store: str) -> None:
    here = begun(store)
    result = finish(here, "0000")
    shutil.rmtree(here.root)
    assert begun_sweep(here.uri, writable=True).results() == [result]


def test_a_place_that_holds_no_sweep_is_told(store: str) -> None:
    with pytest.raises(ConfigError, match=r"s3://.*/none\?.*: is no sweep: it has no sweep\.yaml"):
        begun_sweep(child(store, "none"))
