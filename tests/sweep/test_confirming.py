"""Students of a front with other seeds, in real Ray processes."""

import io
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import ray
from rich.console import Console

from kdray.commands.confirmations import confirm_front
from kdray.errors import StoppedError
from kdray.reporting.confirmation import confirmation_id
from kdray.reporting.reading import read_summary
from kdray.results.folder import SweepFolder
from kdray.results.records import TrialResult
from kdray.sweep import beside, confirming
from kdray.sweep.confirming import missing_runs, other_seeds, run_missing, with_seed
from kdray.sweep.trainable import Shared, run_stored
from kdray.trial_folder import Failure, TrialSetup, load_setup, store_failed
from tests.conftest import Tiny

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]

TIMINGS = ("latency", "teacher_latency", "speedup", "throughput")


def copied(swept: Tiny, name: str) -> SweepFolder:
    folder = SweepFolder(swept.folder.root.with_name(name))
    shutil.copytree(swept.folder.root, folder.root)
    return folder


def without_timings(result: TrialResult | None) -> dict[str, float]:
    assert result is not None
    return {name: v for name, v in result.metrics.items() if not name.startswith(TIMINGS)}


@pytest.fixture(scope="module")
def patched() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def confirmed(swept: Tiny, patched: pytest.MonkeyPatch) -> SweepFolder:
    """A sweep whose front was confirmed, stopped after the first run and then to the end."""
    folder = copied(swept, "confirmed")
    with patched.context() as patch:
        patch.setattr(beside, "_stored", _stopping(os.getpid()))
        with pytest.raises(StoppedError, match="go on with `kdray confirm "):
            confirm_front(str(folder.root), 2, None, quiet=True)
    stopped = folder.confirmations.results()
    assert {one.trial_id.rpartition("-")[2] for one in stopped} == {"1"}
    assert json.loads(folder.confirmation_json.read_text())["seeds"] == [1]
    confirm_front(str(folder.root), 2, None, quiet=True)
    again = [folder.confirmations.result(one.trial_id) for one in stopped]
    assert again == stopped  # to the last second: they were not run again
    return folder


def test_each_student_of_the_front_is_trained_again_with_other_seeds(
    confirmed: SweepFolder,
) -> None:
    front = read_summary(confirmed)["front"]
    found = {result.trial_id: result for result in confirmed.confirmations.results()}
    assert set(found) == {confirmation_id(i, seed) for i in front for seed in (1, 2)}
    for trial_id in front:
        own = load_setup(confirmed, trial_id).sections
        logits = []
        for seed in (1, 2):
            there = confirmation_id(trial_id, seed)
            assert found[there].status == "completed"
            sections = load_setup(confirmed.confirmations, there).sections
            assert sections["training"] == {**own["training"], "seed": seed}
            assert {**sections, "training": 0} == {**own, "training": 0}
            logits.append(np.load(confirmed.confirmations.trial(there) / "predictions.npz")["test"])
        logits.append(np.load(confirmed.trial(trial_id) / "predictions.npz")["test"])
        assert not any(np.array_equal(logits[i], logits[i - 1]) for i in range(3))


def test_confirmations_are_no_trials_and_keep_no_weights(
    confirmed: SweepFolder, swept: Tiny
) -> None:
    assert confirmed.results() == swept.folder.results()
    assert confirmed.students() == swept.folder.students()
    assert not (confirmed.root / "confirmations_students").exists()
    assert not list(confirmed.root.glob("checkpoints/*"))
    before, after = read_summary(swept.folder), read_summary(confirmed)
    assert {**after, "name": before["name"]} == before


def test_the_teacher_does_not_run_again(confirmed: SweepFolder, swept: Tiny) -> None:
    assert confirmed.verification_json.read_bytes() == swept.folder.verification_json.read_bytes()
    assert sum(r.teacher_forward_examples for r in confirmed.confirmations.results()) == 0


def test_what_other_seeds_reach_is_written_down(confirmed: SweepFolder) -> None:
    written = json.loads(confirmed.confirmation_json.read_text())
    assert written["seeds"] == [1, 2]
    assert list(written["trials"]) == read_summary(confirmed)["front"]
    for trial_id, runs in written["trials"].items():
        for run in runs:
            result = confirmed.confirmations.result(confirmation_id(trial_id, run["seed"]))
            assert result is not None
            assert run == {"seed": run["seed"], "metrics": result.metrics}
            assert "test_macro_f1" in run["metrics"]


def test_more_seeds_add_only_what_is_missing_and_a_run_is_the_same_each_time(
    confirmed: SweepFolder, swept: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = read_summary(confirmed)["front"]
    folder = copied(Tiny(swept.config, confirmed, ""), "more")
    lost = confirmation_id(front[0], 1)
    before = folder.confirmations.result(lost)
    folder.remove(folder.confirmations.trial(lost))
    # The front has moved: for these it is done.
    monkeypatch.setattr(confirming, "front_ids", lambda *_: front[:1])
    missing = missing_runs(swept.config, folder, 3)
    assert [one.trial_id for one in missing] == [lost, confirmation_id(front[0], 3)]
    assert run_missing(swept.config, folder, missing[:1], None, Console(file=io.StringIO()))
    assert without_timings(folder.confirmations.result(lost)) == without_timings(before)


def test_when_all_is_there_nothing_is_run(
    confirmed: SweepFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(confirming, "run_missing", None)
    confirm_front(str(confirmed.root), 2, None, as_json=True)
    answer = json.loads(capsys.readouterr().out)
    assert [row["trial_id"] for row in answer["trials"]] == read_summary(confirmed)["front"]
    assert answer["trials"][0]["test"]["runs"] == 2


def test_a_run_that_fails_is_noted_with_its_reason_and_tried_again_the_next_time(
    swept: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(swept, "failing")
    monkeypatch.setattr(beside, "_stored", _failing)
    confirm_front(str(folder.root), 2, None)
    said = capsys.readouterr().out
    assert "failed with seed 2: distil: the loss is NaN" in said
    assert "could not be confirmed" in said
    runs = json.loads(folder.confirmation_json.read_text())["trials"][
        read_summary(folder)["front"][0]
    ]
    assert runs[0] == {"seed": 1, "error": "distil: the loss is NaN"}
    failed = folder.confirmations.results()
    missing = missing_runs(swept.config, folder, 2)
    assert {one.trial_id for one in missing} == {one.trial_id for one in failed}
    monkeypatch.undo()
    assert run_missing(swept.config, folder, missing[:1], None, Console(file=io.StringIO()))
    done = folder.confirmations.result(missing[0].trial_id)
    assert done is not None
    assert done.status == "completed"
    others = [one for one in folder.confirmations.results() if one != done]
    assert others == [one for one in failed if one.trial_id != done.trial_id]
    assert missing_runs(swept.config, folder, 2) == missing[1:]


def test_a_failure_of_a_trial_that_left_the_front_is_not_given_to_one_of_its_configuration(
    swept: Tiny,
) -> None:
    folder = copied(swept, "left")
    setup = with_seed(load_setup(folder, read_summary(folder)["front"][0]), 1)
    left = replace(setup, trial_id=confirmation_id("0999", 1))
    store_failed(folder.confirmations, left, Failure("distil", "no memory"))
    assert run_missing(swept.config, folder, [setup], None, Console(file=io.StringIO()))
    (result,) = folder.confirmations.results()
    assert (result.trial_id, result.status) == (setup.trial_id, "completed")


@pytest.mark.parametrize(
    ("own", "regime", "seeds"),
    [
        (0, {"name": "single"}, [1, 2, 3]),
        (2, {"name": "single"}, [1, 3, 4]),
        (9, {"name": "single"}, [1, 2, 3]),
        (0, {"name": "mutual", "students": 3}, [3, 6, 9]),
        (5, {"name": "mutual", "students": 2}, [1, 3, 7]),
    ],
)
def test_other_seeds_share_no_random_numbers_with_the_trial(
    swept: Tiny, own: int, regime: dict[str, Any], seeds: list[int]
) -> None:
    setup = load_setup(swept.folder, "0000")
    training = {**setup.sections["training"], "seed": own}
    setup = replace(setup, sections={**setup.sections, "training": training, "regime": regime})
    assert other_seeds(swept.config, setup, 3) == seeds
    assert other_seeds(swept.config, setup, 2) == seeds[:2]


def _stopping(driver: int) -> Any:
    def task(setup: TrialSetup, shared: Shared) -> Iterator[None]:
        yield
        if setup.sections["training"]["seed"] == 1:
            run_stored(setup, shared, lambda report: None)
            os.kill(driver, signal.SIGINT)  # Ctrl-C, once the first is on disk
        time.sleep(1000)

    return ray.remote(task)


@ray.remote
def _failing(setup: TrialSetup, shared: Shared) -> Iterator[None]:
    yield
    store_failed(shared.folder, setup, Failure("distil", "the loss is NaN"))
