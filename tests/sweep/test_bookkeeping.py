import io
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from kdray.reporting.summary import front_hypervolume, front_ids
from kdray.results.folder import SweepFolder, write_text, write_trial
from kdray.results.records import TrialResult
from kdray.schema import SweepConfig
from kdray.sweep import bookkeeping
from kdray.sweep.bookkeeping import SHARE_EVERY_S, Bookkeeping
from kdray.sweep.progress import Progress
from kdray.sweep.time_budget import TimeBudget
from kdray.tracking.record import SweepRecord
from tests.tiny_sweep import tiny_config

VERIFICATION = {
    "metrics": {"macro_f1": 0.9, "size_mb": 9.0},
    "constant": {"macro_f1": 0.1},
    "forward_examples": 0,
}


class Tags(SweepRecord):
    """What a sweep tells MLflow of its front."""

    def __init__(self) -> None:
        self.on_front: dict[str, str] = {}

    def finish_trial(self, result: TrialResult, tags: Mapping[str, str] | None = None) -> None:
        self.tag_trial(result.trial_id, tags or {})

    def tag_trial(self, trial_id: str, tags: Mapping[str, str]) -> None:
        self.on_front[trial_id] = tags.get("on_front") or tags["status"]


class Score(Progress):
    """The hypervolume that is shown."""

    hypervolume = 0.0

    def finished(self, result: TrialResult, hypervolume: float) -> None:
        self.hypervolume = hypervolume


class Sweep:
    """Books of a sweep whose trials end at once, as the test says."""

    def __init__(self, config: SweepConfig, folder: SweepFolder) -> None:
        self.config, self.folder, self.halts = config, folder, list[str]()
        folder.teacher.mkdir(parents=True, exist_ok=True)
        folder.verification_json.write_text(json.dumps(VERIFICATION), encoding="utf-8")
        self.record, self.score = Tags(), Score(Console(file=io.StringIO()), config.objectives, 9)
        self.waiting, self.shown_waiting = set[str](), list[str]()
        self.score.waits = self.shown_waiting.append  # type: ignore[method-assign]
        searcher: Any = SimpleNamespace(
            config=config,
            folder=folder,
            halt=self.halts.append,
            waiting=lambda: self.waiting,
            budget=TimeBudget.from_now(None),
        )
        self.books = Bookkeeping(searcher, self.record, self.score, 1)

    def end(self, trial_id: str, quality: float, size: float, status: Any = "completed") -> None:
        metrics = {"macro_f1": quality, "size_mb": size}
        write_text(self.folder.student(trial_id) / "config.json", "{}")
        write_trial(self.folder, TrialResult(trial_id, status, metrics=metrics))
        drawn = {"trial_id": trial_id, "sections": {}, "parameters": {}}
        self.books.on_trial_complete(0, [], SimpleNamespace(config=drawn))

    def fail(self, trial_id: str, error: str) -> None:
        write_trial(self.folder, TrialResult(trial_id, "failed", stage="distil", error=error))
        drawn = {"trial_id": trial_id, "sections": {}, "parameters": {}}
        self.books.on_trial_complete(0, [], SimpleNamespace(config=drawn))

    def students(self) -> list[str]:
        return sorted(path.name for path in (self.folder.root / "students").iterdir())


@pytest.mark.parametrize("constraints", [{}, {"size_mb": {"maximum": 5.0}}])
@pytest.mark.parametrize("seed", range(3))
def test_the_front_kept_trial_by_trial_is_the_front_of_all_of_them(
    tmp_path: Path, seed: int, constraints: dict[str, Any]
) -> None:
    sweep = Sweep(tiny_config(tmp_path, constraints=constraints), SweepFolder(tmp_path / "s"))
    rng = np.random.default_rng(seed)
    for index in range(30):
        # Rounded, so that trials tie; a trial stopped early is never on the front.
        quality, size = round(rng.random(), 1), float(rng.integers(1, 10))
        status = "stopped_early" if index % 7 == 3 else "completed"
        sweep.end(f"{index:04d}", quality, size, status)
        config, results = sweep.config, sweep.folder.results()
        front = front_ids(results, config.objectives, config.constraints)
        assert sweep.students() == sorted(front)
        assert sweep.score.hypervolume == pytest.approx(
            front_hypervolume(results, config.objectives, VERIFICATION, config.constraints)
        )
        tagged = [trial_id for trial_id, tag in sweep.record.on_front.items() if tag == "true"]
        assert sorted(tagged) == sorted(front)


def test_the_hypervolume_is_measured_only_when_the_front_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = Sweep(tiny_config(tmp_path), SweepFolder(tmp_path / "s"))
    measured = list[float]()

    def measure(*arguments: Any) -> float:
        measured.append(front_hypervolume(*arguments))
        return measured[-1]

    monkeypatch.setattr("kdray.sweep.bookkeeping.front_hypervolume", measure)
    sweep.end("0000", 0.5, 4.0)
    sweep.end("0001", 0.4, 5.0)
    sweep.end("0002", 0.9, 1.0, "stopped_early")
    sweep.fail("0003", "no such device")
    sweep.end("0004", 0.6, 5.0)
    assert len(measured) == 2
    assert sweep.score.hypervolume == measured[-1] > measured[0] > 0


def test_the_journal_is_shared_at_most_every_few_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SweepFolder(tmp_path / "s")
    shared, clock = list[Path](), [100.0]
    monkeypatch.setattr(SweepFolder, "share", lambda folder, *paths: shared.extend(paths))
    monkeypatch.setattr(bookkeeping, "monotonic", lambda: clock[0])
    sweep = Sweep(tiny_config(tmp_path), folder)
    for number, seconds in enumerate([0.0, 1.0, 1.0, SHARE_EVERY_S, 1.0]):
        clock[0] += seconds
        sweep.end(f"{number:04d}", 0.5, 4.0)
    assert shared.count(folder.optuna_log) == shared.count(folder.tracking_json) == 2


def test_a_sweep_that_goes_on_shows_the_hypervolume_of_before(tmp_path: Path) -> None:
    config, folder = tiny_config(tmp_path), SweepFolder(tmp_path / "s")
    before = Sweep(config, folder)
    before.end("0000", 0.5, 4.0)
    after = Sweep(config, folder)
    after.fail("0001", "no such device")
    assert after.score.hypervolume == before.score.hypervolume > 0


def test_a_sweep_that_goes_on_knows_the_front_of_before(tmp_path: Path) -> None:
    config, folder = tiny_config(tmp_path), SweepFolder(tmp_path / "s")
    Sweep(config, folder).end("0000", 0.5, 4.0)
    after = Sweep(config, folder)
    after.end("0001", 0.4, 5.0)
    assert after.students() == ["0000"]
    assert after.record.on_front == {"0001": "false"}
    after.end("0002", 0.6, 4.0)
    assert after.students() == ["0002"]
    assert after.record.on_front == {"0000": "false", "0001": "false", "0002": "true"}


def test_all_students_stay_if_all_are_to_be_kept(tmp_path: Path) -> None:
    sweep = Sweep(tiny_config(tmp_path, search={"keep": "all"}), SweepFolder(tmp_path / "s"))
    sweep.end("0000", 0.5, 4.0)
    sweep.end("0001", 0.6, 3.0)
    assert sweep.students() == ["0000", "0001"]


def test_a_sweep_whose_first_five_trials_fail_for_one_reason_is_halted(tmp_path: Path) -> None:
    sweep = Sweep(tiny_config(tmp_path), SweepFolder(tmp_path / "s"))
    for index in range(7):
        assert len(sweep.halts) == (index >= 5)
        sweep.fail(f"{index:04d}", "no such device")
    assert sweep.halts == ["the first 5 trials all failed for one reason: distil: no such device"]


@pytest.mark.parametrize("other", [0, 2, 4])
def test_a_sweep_goes_on_where_one_of_the_first_five_ended_otherwise(
    tmp_path: Path, other: int
) -> None:
    sweep = Sweep(tiny_config(tmp_path), SweepFolder(tmp_path / "s"))
    for index in range(12):
        sweep.fail(f"{index:04d}", "another" if index == other else "no such device")
    assert sweep.halts == []


def test_those_that_waited_when_a_sweep_was_cut_off_are_told_of(tmp_path: Path) -> None:
    config, folder = tiny_config(tmp_path), SweepFolder(tmp_path / "s")
    sweep = Sweep(config, folder)
    sweep.waiting.add("0003")
    searcher: Any = SimpleNamespace(
        config=config,
        folder=folder,
        halt=None,
        waiting=lambda: sweep.waiting,
        budget=TimeBudget.from_now(None),
    )
    Bookkeeping(searcher, sweep.record, sweep.score, 1)
    assert (sweep.record.on_front, sweep.shown_waiting) == ({"0003": "waiting"}, ["0003"])


def test_a_trial_that_waits_has_not_failed_and_ends_when_it_is_stopped(tmp_path: Path) -> None:
    sweep = Sweep(tiny_config(tmp_path), SweepFolder(tmp_path / "s"))
    drawn = {"trial_id": "0000", "sections": {}, "parameters": {}}
    sweep.waiting.add("0000")
    sweep.books._running["0000"] = (0.0, None)
    sweep.books.on_trial_complete(0, [], SimpleNamespace(config=drawn))
    assert sweep.folder.results() == []
    assert (sweep.record.on_front, sweep.shown_waiting) == ({"0000": "waiting"}, ["0000"])
    write_trial(sweep.folder, TrialResult("0000", "stopped_early", metrics={"macro_f1": 0.5}))
    sweep.books.stopped("0000")
    assert sweep.record.on_front == {"0000": "false"}
