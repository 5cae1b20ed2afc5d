"""Trials that fail in real Ray workers: told why, tried again where that may help, survived."""

import io
import json
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
from kdray.sweep.run import Launch, run_sweep
from kdray.sweep.search import open_study
from tests.sweep.misbehaving import EPOCHS, PLAN, begun, misbehaving
from tests.tiny_sweep import tiny_config

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture(autouse=True)
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


def test_what_may_pass_is_tried_again_and_what_cannot_is_failed_at_once(output: Path) -> None:
    deeds = {
        "0000": ["die"],
        "0001": ["network"],
        "0002": ["diverge"],
        "0003": ["die", "die"],
        "0004": ["network", "network"],
        "0005": [],
    }
    config, folder = planned(output, "failing", deeds)
    summary = swept(config, folder)
    found = {result.trial_id: result for result in folder.results()}
    assert [begun(folder.root, trial_id) for trial_id in deeds] == [2, 2, 1, 2, 2, 1]
    assert [found[trial_id].status for trial_id in deeds] == [
        *("completed", "completed", "failed", "failed", "failed", "completed"),
    ]
    assert (found["0002"].stage, found["0002"].error) == ("distil", "the loss is not finite")
    assert (found["0003"].error or "").startswith("the worker died: ")

    assert (found["0004"].stage, found["0004"].error) == ("distil", "the network was away")
    assert all(found[trial_id].duration_s > 0 for trial_id in deeds)
    assert summary["trials"] == {"completed": 3, "stopped_early": 0, "failed": 3}
    assert TrialState.RUNNING not in states(config, folder)


def test_a_trial_whose_worker_dies_in_its_second_epoch_goes_on_after_its_first(
    output: Path,
) -> None:
    config, folder = planned(output, "mid", {"0000": ["die after 2"]}, checkpoint_interval_s=0)
    config = replace(config, space=config.space | {"training": {"epochs": 4}})
    assert swept(config, folder)["trials"]["completed"] == 1
    told = [line.split()[1] for line in (folder.root / EPOCHS).read_text().splitlines()]
    assert told == ["1", "2", "2", "3", "4"]
    assert [report.epoch for report in folder.epochs("0000")] == [1, 2, 3, 4]
    assert not (folder.root / "checkpoints").exists()


@pytest.mark.slow
def test_a_stuck_trial_is_ended_by_the_watchdog_and_not_tried_again(output: Path) -> None:
    deeds = {"0000": ["hang", "hang"], "0001": []}
    config, folder = planned(output, "stuck", deeds, trial_timeout_s=45)
    swept(config, folder)
    stuck, well = folder.results()
    assert stuck.status == "failed"
    assert stuck.error == "took longer than the 45 s of search.trial_timeout_s"
    assert stuck.duration_s == 45
    assert well.status == "completed"
    assert states(config, folder) == [TrialState.FAIL, TrialState.COMPLETE]


def test_a_sweep_stops_when_the_first_five_trials_fail_for_one_reason(output: Path) -> None:
    deeds = {f"{number:04d}": ["diverge"] for number in range(12)}
    config, folder = planned(output, "hopeless", deeds)
    with pytest.raises(SweepError, match=r"first 5 trials all failed.*distil: the loss is not"):
        swept(config, folder)
    assert 5 <= len(folder.results()) < 12
    assert (folder.root / "trials.csv").exists()


@pytest.mark.parametrize("deed", ["full", "full, says a library"])
def test_a_full_disk_fails_no_trial_but_stops_the_sweep_which_then_goes_on(
    output: Path, deed: str
) -> None:
    deeds = {"0000": [], "0001": [deed, deed], "0002": []}
    config, folder = planned(output, f"full{len(deed)}", deeds)
    with pytest.raises(SweepError, match=r"a disk is full.*kdray resume"):
        swept(config, folder)
    assert {result.status for result in folder.results()} == {"completed"}
    assert folder.result("0001") is None
    assert swept(config, folder)["trials"]["completed"] == 3
    assert begun(folder.root, "0000") == 1
    assert TrialState.RUNNING not in states(config, folder)


def test_a_folder_with_room_has_space(tmp_path: Path) -> None:
    assert not has_no_space(tmp_path)
    assert list(tmp_path.iterdir()) == []
