"""The bridge from Ray to a trial, while an object store stays away."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kdray.config.sections import Evaluation
from kdray.errors import SweepError
from kdray.preparation import prepare
from kdray.results.folder import SweepFolder, write_text
from kdray.sweep import trainable
from kdray.sweep.trainable import Shared, sweep_trial
from kdray.training.checkpoint import kept_epochs
from kdray.training.course import Checkpoints
from kdray.trial import TrialError
from tests.tiny_sweep import tiny_config

TRIAL: dict[str, Any] = {
    "trial_id": "0000",
    "parameters": {},
    "sections": {
        "student": {"layers": 1},
        "pruning": {"method": "none"},
        "distillation": {"method": "logit"},
        "training": {"epochs": 2},
    },
}


@dataclass(frozen=True)
class Store(SweepFolder):
    """A folder in an object store that is away for one kind of folders, which `away` names.

    The file `shared` names what it got.
    """

    @property
    def away(self) -> Path:
        return self.root / "away"

    def share(self, *paths: Path) -> None:
        for path in filter(Path.exists, paths):
            self._reach(path)
            with (self.root / "shared").open("a") as file:
                file.write(f"{path.relative_to(self.root)}\n")

    def fetch(self, *paths: Path) -> None:
        for path in paths:
            self._reach(path)

    def release(self, path: Path) -> None:
        with (self.root / "shared").open("a") as file:
            file.write(f"released {path.relative_to(self.root)}\n")

    def got(self) -> list[str]:
        return (self.root / "shared").read_text().splitlines()

    def _reach(self, path: Path) -> None:
        if self.away.exists() and path.parent.name == self.away.read_text():
            raise SweepError("s3://bucket/runs/tiny: cannot be reached")


class Prepared:
    """Stands in for the reference to a prepared sweep in Ray's object store."""

    def hex(self) -> str:
        return "prepared"


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What Ray is told by a trial, which has its prepared sweep already."""
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(trainable.tune, "report", told.append)
    monkeypatch.setattr(trainable, "_PREPARED", {"prepared": prepare(tiny_config(tmp_path))})
    return told


def shared(folder: Store, interval_s: float = 0.0, deadline: float | None = None) -> Shared:
    return Shared(
        Prepared(), folder, Evaluation(), "macro_f1", 1, True, interval_s, deadline=deadline
    )


def test_a_finished_trial_that_the_store_did_not_get_is_given_to_it_by_the_next_attempt(
    tmp_path: Path, reports: list[dict[str, Any]]
) -> None:
    folder = Store(tmp_path / "tiny")
    write_text(folder.away, "trials")
    with pytest.raises(SweepError, match="cannot be reached"):
        sweep_trial(TRIAL, shared(folder))
    result = folder.result("0000")
    assert result is not None
    assert folder.got()[-1] == "students/0000"
    assert [report["finished"] for report in reports] == [False, False]
    folder.away.unlink()
    sweep_trial(TRIAL, shared(folder))
    assert folder.got()[-3:] == ["students/0000", "trials/0000", "released students/0000"]
    assert folder.result("0000") == result, "it is not done again"
    assert [report["finished"] for report in reports] == [False, False, True]


def test_a_trial_whose_checkpoints_the_store_does_not_get_is_done_all_the_same(
    tmp_path: Path, reports: list[dict[str, Any]]
) -> None:
    folder = Store(tmp_path / "tiny")
    write_text(folder.away, "checkpoints")
    with pytest.warns(RuntimeWarning, match="no checkpoint could be copied: s3://"):
        sweep_trial(TRIAL, shared(folder))
    result = folder.result("0000")
    assert result is not None
    assert (result.status, result.epochs) == ("completed", 2)
    assert [report["finished"] for report in reports] == [False, False, True]
    assert "checkpoints/0000" not in folder.got()


@pytest.mark.parametrize(("left_s", "late"), [(-1.0, [True, False]), (3600.0, [False, False])])
def test_when_the_time_is_over_the_state_after_each_epoch_but_the_last_is_kept_and_told_of(
    tmp_path: Path,
    reports: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    left_s: float,
    late: list[bool],
) -> None:
    folder = Store(tmp_path / "tiny")
    kept = Checkpoints(folder.checkpoint("0000"), 0.0)
    there: list[int] = []

    def told(report: dict[str, Any]) -> None:
        there.append(len(kept_epochs(kept)))
        reports.append(report)

    monkeypatch.setattr(trainable.tune, "report", told)
    sweep_trial(TRIAL, shared(folder, 3600.0, time.time() + left_s))
    assert [report.get("late") for report in reports] == [*late, None]
    assert there[:2] == ([1, 1] if late[0] else [0, 0])
    assert ("released checkpoints/0000" in folder.got()) == late[0]


def test_a_checkpoint_of_this_machine_serves_while_the_store_is_away(
    tmp_path: Path, reports: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Store(tmp_path / "tiny")

    def lost(report: dict[str, Any]) -> None:
        if report["epoch"] == 2:
            raise OSError("the worker is lost")

    with monkeypatch.context() as context:
        context.setattr(trainable.tune, "report", lost)
        with pytest.raises(TrialError, match="the worker is lost"):
            sweep_trial(TRIAL, shared(folder))
    write_text(folder.away, "checkpoints")
    with pytest.warns(RuntimeWarning, match="no checkpoint could be copied: s3://"):
        sweep_trial(TRIAL, shared(folder))
    assert [report.get("epoch") for report in reports] == [2, None]
