"""What is copied between a machine and a real S3 server, in which order, and what is not."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdray.errors import SweepError
from kdray.results.folder import write_text
from kdray.sweep import object_store
from kdray.sweep.object_store import mirror_root
from kdray.sweep.storage import Mirror, begun_sweep
from tests.sweep.mirrors import begun, finish, stored


def test_what_is_large_is_fetched_by_name_alone(store: str, elsewhere: Callable[[], None]) -> None:
    here = begun(store)
    finish(here, "0000")
    large = here.teacher_outputs, here.checkpoint("0001")
    for folder in large:
        write_text(folder / "some.file", "large")
    here.share(here.root, here.checkpoint("0001"))
    elsewhere()
    there = begun_sweep(here.uri)
    wanted = there.student("0000"), there.teacher_outputs, there.checkpoint("0001")
    assert not any(folder.exists() for folder in wanted)
    there.fetch(*wanted)
    assert all(any(folder.iterdir()) for folder in wanted)


def test_a_checkpoint_is_not_shared_with_the_sweep_for_another_machine_s_may_be_newer(
    store: str,
) -> None:
    here = begun(store)
    write_text(here.checkpoint("0001") / "some.file", "older")
    write_text(here.root / "notes.txt", "new")
    here.share(here.root)
    names = stored(here.uri)
    assert "notes.txt" in names
    assert not any(name.startswith("checkpoints/") for name in names)


def test_the_result_is_uploaded_last_and_taken_away_first(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = begun(store)
    finish(here, "0000", "failed")
    (here.trial("0000") / "predictions.npz").write_text("more")
    here.share(here.trial("0000"))

    def broken(file: Path, at: Any, name: str) -> None:
        raise OSError("the store is away")

    monkeypatch.setattr("kdray.sweep.copying._copy_up", broken)
    write_text(here.trial("0000") / "result.json", "{}")
    with pytest.raises(SweepError, match=r"the store is away\n.* is in .*kdray resume 's3://"):
        here.share(here.trial("0000"))
    left = {name for name in stored(here.uri) if name.startswith("trials/")}
    assert left == {
        f"trials/0000/{name}" for name in ("config.yaml", "epochs.jsonl", "predictions.npz")
    }


def test_a_trial_that_is_done_again_leaves_nothing_of_the_first_time(store: str) -> None:
    here = begun(store)
    finish(here, "0000", "failed")
    (here.trial("0000") / "predictions.npz").write_text("of before")
    here.share(here.trial("0000"))
    finish(here, "0000")
    names = {"config.yaml", "epochs.jsonl", "result.json"}
    assert {n for n in stored(here.uri) if n.startswith("trials/")} == {
        f"trials/0000/{n}" for n in names
    }


def test_what_has_not_changed_is_not_copied_again(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = begun(store)
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


def test_the_newer_of_two_files_stays(store: str, elsewhere: Callable[[str], None]) -> None:
    here = begun(store)
    elsewhere("other")
    there = begun_sweep(here.uri)
    write_text(there.sweep_yaml, "of the other machine, after a while")
    there.share(there.root)
    write_text(there.sweep_yaml, "newer still")
    there.fetch(there.root)
    assert there.sweep_yaml.read_text() == "newer still"


def fetch_in_a_process(folder: Mirror) -> None:
    folder.fetch(folder.root, folder.student("0000"))


@pytest.mark.slow
def test_processes_of_one_machine_fetch_the_same_sweep_side_by_side(
    store: str, elsewhere: Callable[[], None]
) -> None:
    here = begun(store)
    for number in range(6):
        finish(here, f"{number:04d}")
    elsewhere()
    there = Mirror(mirror_root(here.uri), here.uri)
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.map(fetch_in_a_process, [there] * 3)
    assert len(there.results()) == 6
    assert (there.student("0000") / "model.safetensors").read_text() == "weights"
