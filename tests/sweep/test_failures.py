"""Trials that fail in real Ray workers: told why, tried again where that may help, survived."""

import errno
import io
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from optuna.trial import TrialState
from rich.console import Console

from kdray.errors import SweepError
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig
from kdray.sweep import tuning
from kdray.sweep.failures import has_no_space
from kdray.sweep.opening import Launch
from kdray.sweep.run import run_sweep
from kdray.sweep.search import open_study
from tests.sweep.misbehaving import EPOCHS, PLAN, begun, misbehaving
from tests.tiny_sweep import tiny_config

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture(scope="module", autouse=True)
def _misbehaving() -> Iterator[None]:
    with mock.patch.object(tuning, "sweep_trial", misbehaving):
        yield


def planned(output: Path, name: str, deeds: dict[str, list[str]], **search: Any) -> Any:
    settings = {"trials": len(deeds), "sampler": "random"} | search
    config = tiny_config(output, name=name, search=settings)
    folder = SweepFolder(output / name)
    folder.root.mkdir()
    (folder.root / PLAN).write_text(json.dumps(deeds))
    return config, folder


def swept(config: SweepConfig, folder: SweepFolder) -> dict[str, Any]:
    return run_sweep(config, folder, Launch(""), Console(file=io.StringIO())).summary


def states(config: SweepConfig, folder: SweepFolder) -> list[TrialState]:
    return [trial.state for trial in open_study(config, folder, 0).get_trials()]


Failing = tuple[SweepConfig, SweepFolder, dict[str, Any]]
TIMEOUT_S = 40
DEEDS = {
    "0000": ["hang", "hang"],
    "0001": ["die"],
    "0002": ["network"],
    "0003": ["diverge"],
    "0004": ["die", "die"],
    "0005": ["network", "network"],
    "0006": [],
    "0007": ["die after 2"],
}


@pytest.fixture(scope="module")
def failing(output: Path, cluster: None) -> Failing:
    """A sweep in which nearly every trial fails, each in its own way; the first is in the way."""
    search = {"trial_timeout_s": TIMEOUT_S, "checkpoint_interval_s": 0}
    config, folder = planned(output, "misbehaving", DEEDS, **search)
    config = replace(config, space=config.space | {"training": {"epochs": 4}})
    return config, folder, swept(config, folder)


def test_what_may_pass_is_tried_again_and_what_cannot_is_failed_at_once(failing: Failing) -> None:
    config, folder, summary = failing
    found = {result.trial_id: result for result in folder.results()}
    # Ray begins a trial once more that the watchdog has ended; it finds its failure on disk.
    assert {trial_id: begun(folder.root, trial_id) for trial_id in DEEDS} == {
        **{"0000": 2, "0001": 2, "0002": 2, "0003": 1, "0004": 2, "0005": 2, "0006": 1, "0007": 2}
    }
    well = {"0001", "0002", "0006", "0007"}
    assert {trial_id for trial_id, r in found.items() if r.status == "completed"} == well
    assert {r.status for trial_id, r in found.items() if trial_id not in well} == {"failed"}
    assert (found["0003"].stage, found["0003"].error) == ("distil", "the loss is not finite")
    assert (found["0004"].error or "").startswith("the worker died: ")
    assert (found["0005"].stage, found["0005"].error) == ("distil", "the network was away")
    assert all(found[trial_id].duration_s > 0 for trial_id in DEEDS)
    assert summary["trials"] == {"completed": 4, "stopped_early": 0, "failed": 4}
    ended = Counter(states(config, folder))
    assert ended == {TrialState.COMPLETE: 4, TrialState.FAIL: 4}


def test_a_stuck_trial_is_ended_by_the_watchdog_and_not_tried_again(failing: Failing) -> None:
    stuck = failing[1].result("0000")
    assert stuck is not None
    assert stuck.status == "failed"
    assert stuck.error == f"took longer than the {TIMEOUT_S} s of search.trial_timeout_s"
    assert stuck.duration_s == TIMEOUT_S


def test_a_trial_whose_worker_dies_in_its_second_epoch_goes_on_after_its_first(
    failing: Failing,
) -> None:
    folder = failing[1]
    lines = [line.split() for line in (folder.root / EPOCHS).read_text().splitlines()]
    told = [epoch for trial_id, epoch in lines if trial_id == "0007"]
    assert told == ["1", "2", "2", "3", "4"]
    assert [report.epoch for report in folder.epochs("0007")] == [1, 2, 3, 4]
    assert not (folder.root / "checkpoints").exists()


def test_a_sweep_stops_when_the_first_five_trials_fail_for_one_reason(output: Path) -> None:
    deeds = {f"{number:04d}": ["diverge"] for number in range(12)}
    config, folder = planned(output, "hopeless", deeds)
    with pytest.raises(SweepError, match=r"first 5 trials all failed.*distil: the loss is not"):
        swept(config, folder)
    assert 5 <= len(folder.results()) < 12
    assert (folder.root / "trials.csv").exists()


def test_a_full_disk_fails_no_trial_but_stops_the_sweep_which_then_goes_on(output: Path) -> None:
    full, told = "full", "full, says a library"
    deeds = {"0000": [], "0001": [full, full, told, told], "0002": []}
    config, folder = planned(output, "full", deeds)
    for _ in (full, told):
        with pytest.raises(SweepError, match=r"a disk is full.*kdray resume"):
            swept(config, folder)
        assert {result.status for result in folder.results()} == {"completed"}
        assert folder.result("0001") is None
    assert swept(config, folder)["trials"]["completed"] == 3
    assert begun(folder.root, "0000") == 1
    assert begun(folder.root, "0001") == 5
    assert TrialState.RUNNING not in states(config, folder)


def test_a_folder_with_room_has_space(tmp_path: Path) -> None:
    assert not has_no_space(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_with_a_little_room_left_is_full_for_what_is_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*arguments: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("kdray.sweep.run._run_sweep", run)
    config, launch = tiny_config(tmp_path), Launch("kdray sweep")
    with pytest.raises(SweepError, match=r"no space is left on the disk of .*; make room and go"):
        run_sweep(config, SweepFolder(tmp_path / "tiny"), launch, Console())
