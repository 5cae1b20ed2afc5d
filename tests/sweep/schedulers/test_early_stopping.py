import json
import pickle
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from ray.tune.schedulers import FIFOScheduler

from kdray.results.folder import SweepFolder, write_trial
from kdray.results.records import EpochReport, TrialResult
from kdray.sweep.schedulers.early_stopping import EarlyStopping
from kdray.sweep.schedulers.rivals import rivals_of
from kdray.sweep.time_budget import TimeBudget
from tests.tiny_sweep import tiny_config

from .trials import reports

VERIFICATION = {"metrics": {"macro_f1": 0.8, "size_mb": 8.0}, "constant": {"macro_f1": 0.3}}
# In the order in which they arrive, one at a time: macro-F1 by epoch, and size.
TRIALS = {
    "0000": ([0.5, 0.6, 0.7, 0.7], 4.0),
    "0001": ([0.2, 0.6, 0.7, 0.7], 1.0),
    "0002": ([0.6, 0.75, 0.75, 0.75], 3.0),
    "0003": ([0.4, 0.6, 0.6, 0.5], 2.0),
    "0004": ([0.55, 0.5, 0.7, 0.7], 3.5),
    "0005": ([0.5, 0.2, 0.2, 0.2], 1.5),
    "0006": ([0.9, 0.9, 0.9, 0.9], 5.0),
}


def scheduler(
    root: Path, scheduler: Any = "median", constraints: Any = None, trials: int = 7
) -> tuple[EarlyStopping, SweepFolder, list[str]]:
    """A scheduler of a sweep's folder, and who it says was stopped while it waited."""
    folder, ended = SweepFolder(root), list[str]()
    folder.teacher.mkdir(parents=True, exist_ok=True)
    folder.verification_json.write_text(json.dumps(VERIFICATION))
    changes = {"search": {"scheduler": scheduler}, "training": {"epochs": 4}}
    changes |= {"constraints": constraints or {}}
    rivals = rivals_of(tiny_config(root, **changes), folder, trials)
    assert rivals is not None
    return EarlyStopping(rivals, folder, 1, ended.append, TimeBudget()), folder, ended


def trial(trial_id: str, tried_again: bool = False) -> Any:
    drawn = {"trial_id": trial_id, "sections": {"student": {}}, "parameters": {"student.layers": 1}}
    return SimpleNamespace(config=drawn, should_recover=lambda: tried_again)


def tell(stopper: FIFOScheduler, trial_id: str, report: EpochReport) -> str:
    result = {"epoch": report.epoch, "report": report.to_json(), "duration_s": 2.5 * report.epoch}
    return str(stopper.on_trial_result(None, trial(trial_id), result))


def run(stopper: FIFOScheduler, folder: SweepFolder, trial_id: str, epochs: int = 4) -> str:
    """Runs a trial until it is stopped, cut off after so many epochs, or completed."""
    scores, size_mb = TRIALS[trial_id]
    made = reports(scores, size_mb, epochs=4)
    for report in made[:epochs]:
        if tell(stopper, trial_id, report) == FIFOScheduler.STOP:
            return f"{trial_id} stopped after {report.epoch}"
    if epochs == 4:
        write_trial(folder, TrialResult(trial_id, "completed"), made)
    return f"{trial_id} went on"


def test_a_sweep_that_stops_no_trial_has_no_rivals(tmp_path: Path) -> None:
    fifo = tiny_config(tmp_path, search={"scheduler": "fifo"})
    assert rivals_of(fifo, SweepFolder(tmp_path), 3) is None


def test_a_trial_that_is_too_large_to_be_feasible_is_stopped_at_once(tmp_path: Path) -> None:
    bounds = {"size_mb": {"maximum": 2.0}, "macro_f1": {"minimum": 0.9}}
    rule = {"name": "pareto_asha", "first_rung": 3}
    stopper, folder, _ = scheduler(tmp_path, rule, bounds)
    assert tell(stopper, "0000", reports([0.5], 2.1, epochs=4)[0]) == "STOP"
    assert tell(stopper, "0001", reports([0.5], 1.9, epochs=4)[0]) == "CONTINUE"
    assert folder.result("0000") is not None
    assert tell(stopper, "0002", reports([0.5], 2.1, epochs=1)[0]) == "CONTINUE"


def test_a_stopped_trial_is_on_disk_whole_before_ray_is_told(tmp_path: Path) -> None:
    stopper, folder, ended = scheduler(tmp_path, {"name": "pareto_asha", "first_rung": 2})
    epochs = [*reports([0.25, 0.2], 1.0, epochs=4)]
    assert tell(stopper, "0000", epochs[0]) == "CONTINUE"
    assert folder.result("0000") is None
    assert tell(stopper, "0000", epochs[1]) == "STOP"
    assert ended == [], "Ray tells of it"
    result = folder.result("0000")
    assert result is not None
    assert replace(result, ended_at=None) == TrialResult(
        "0000",
        "stopped_early",
        {"student.layers": 1},
        {"macro_f1": 0.25, "size_mb": 1.0},
        epochs=2,
        selected_epoch=1,
        duration_s=5.0,
    )
    assert folder.epochs("0000") == epochs
    setup = yaml.safe_load((folder.trial("0000") / "config.yaml").read_text())
    assert setup == {
        "sections": {"student": {}},
        "parameters": {"student.layers": 1},
        "threads": 1,
    }


def test_a_trial_that_waits_is_over_for_ray_and_has_no_result(tmp_path: Path) -> None:
    stopper, folder, ended = scheduler(tmp_path, "pareto_asha")
    assert tell(stopper, "0000", reports([0.5], 4.0, epochs=4)[0]) == "STOP"
    assert folder.result("0000") is None
    assert stopper._rivals.waiting == {"0000": trial("0000").config}
    stopper.stop_waiting()
    result = folder.result("0000")
    assert result is not None
    assert (result.status, result.epochs) == ("stopped_early", 1)
    assert (ended, stopper._rivals.waiting) == (["0000"], {})


def test_who_waits_in_vain_is_stopped_when_a_better_one_comes(tmp_path: Path) -> None:
    # Of three trials one can go on.
    stopper, folder, ended = scheduler(tmp_path, "pareto_asha", trials=3)
    assert tell(stopper, "0000", reports([0.5], 4.0, epochs=4)[0]) == "STOP"
    assert tell(stopper, "0001", reports([0.6], 3.0, epochs=4)[0]) == "STOP"
    assert ended == ["0000"]
    assert [result.trial_id for result in folder.results()] == ["0000"]
    assert list(stopper._rivals.waiting) == ["0001"]


def test_a_report_without_an_epoch_goes_on(tmp_path: Path) -> None:
    stopper, _, _ = scheduler(tmp_path)
    assert stopper.on_trial_result(None, trial("0000"), {"finished": True}) == "CONTINUE"


def test_the_decisions_of_a_sweep_by_hand(tmp_path: Path) -> None:
    # By what they had at their best epoch of two: 0003 is at 0.6, the median of three, and smaller;
    # 0004 is behind 0.6 and 2.5 MB in both; 0005 is behind in quality alone, 0006 in size alone.
    rule = {"name": "median", "grace_epochs": 2, "startup_trials": 2}
    stopper, folder, _ = scheduler(tmp_path, rule)
    assert [run(stopper, folder, trial_id) for trial_id in TRIALS] == [
        "0000 went on",
        "0001 went on",
        "0002 went on",
        "0003 went on",
        "0004 stopped after 2",
        "0005 went on",
        "0006 went on",
    ]


def test_a_sweep_that_goes_on_decides_as_if_never_interrupted(tmp_path: Path) -> None:
    rule = {"name": "median", "grace_epochs": 2, "startup_trials": 2}
    stopper, folder, _ = scheduler(tmp_path / "whole", rule)
    whole = [run(stopper, folder, trial_id) for trial_id in TRIALS]
    for cut, epochs in ((cut, epochs) for cut in TRIALS for epochs in (0, 1, 2, 3)):
        stopper, folder, _ = scheduler(tmp_path / f"{cut}-{epochs}", rule)
        found = []
        for trial_id in TRIALS:
            if trial_id == cut:
                told = run(stopper, folder, trial_id, epochs)
                stopper, folder, _ = scheduler(folder.root, rule)
            if trial_id != cut or "stopped" not in told:
                told = run(stopper, folder, trial_id)
            found.append(told)
        assert found == whole


def test_an_epoch_that_is_done_again_is_not_judged_again(tmp_path: Path) -> None:
    rule = {"name": "median", "grace_epochs": 1, "startup_trials": 1}
    stopper, folder, _ = scheduler(tmp_path, rule)
    made = reports([0.5, 0.5, 0.2], 4.0, epochs=4)
    assert tell(stopper, "0000", made[0]) == "CONTINUE"
    # A better one comes, by which 0000 would not have survived.
    for report in reports([0.6, 0.6, 0.6], 3.0, epochs=4):
        assert tell(stopper, "0001", report) == "CONTINUE"
    stopper.on_trial_error(None, trial("0000", tried_again=True))
    assert tell(stopper, "0000", made[0]) == "CONTINUE"
    assert tell(stopper, "0000", made[1]) == "STOP"
    assert folder.epochs("0000") == made[:2]


def test_a_trial_that_goes_on_brings_its_earlier_epochs(tmp_path: Path) -> None:
    stopper, _, _ = scheduler(tmp_path)
    made = reports([0.9, 0.5, 0.2], 4.0, epochs=4)
    result = {
        "report": made[2].to_json(),
        "earlier": [report.to_json() for report in made[:2]],
        "duration_s": 1.0,
    }
    # Its worker was lost when the second epoch was in its checkpoint, and nobody had heard of it.
    tell(stopper, "0000", made[0])
    assert stopper.on_trial_result(None, trial("0000"), result) == "CONTINUE"
    assert [report.epoch for report in stopper._rivals.history["0000"]] == [1, 2, 3]


def test_nobody_is_compared_with_a_trial_that_failed(tmp_path: Path) -> None:
    rule = {"name": "median", "grace_epochs": 1, "startup_trials": 1}
    stopper, _, _ = scheduler(tmp_path, rule)
    for trial_id in ("0000", "0001"):
        tell(stopper, trial_id, reports([0.9], 1.0, epochs=4)[0])
        stopper.on_trial_error(None, trial(trial_id))
    assert tell(stopper, "0002", reports([0.4], 5.0, epochs=4)[0]) == "CONTINUE"


def test_nobody_is_compared_with_a_trial_whose_worker_says_that_it_failed(tmp_path: Path) -> None:
    stopper, folder, _ = scheduler(tmp_path, "pareto_asha")
    for own_id in ("0000", "0001"):
        tell(stopper, own_id, reports([0.9], 1.0, epochs=4)[0])
    write_trial(folder, TrialResult("0000", "failed", stage="distil", error="not finite"))
    for own_id in ("0000", "0001"):
        stopper.on_trial_complete(None, trial(own_id), {})
    assert list(stopper._rivals.history) == ["0001"]


def test_when_the_time_is_over_the_rule_decides_first_and_who_would_go_on_stops(
    tmp_path: Path,
) -> None:
    stopper, folder, _ = scheduler(tmp_path, {"name": "pareto_asha", "first_rung": 2})
    for epoch, own_id, kept in ((1, "0000", "cut off"), (2, "0001", "waits")):
        made = [report.to_json() for report in reports([0.5] * epoch, 4.0, epochs=4)]
        result = {"report": made[-1], "earlier": made[:-1], "duration_s": 1.0, "late": True}
        assert stopper.on_trial_result(None, trial(own_id), result) == "STOP"
        assert (own_id in stopper._budget.cut_off) == (kept == "cut off")
        assert (own_id in stopper._rivals.waiting) == (kept == "waits")
        assert folder.result(own_id) is None


def test_ray_may_pickle_the_scheduler_but_nothing_is_in_it(tmp_path: Path) -> None:
    assert len(pickle.dumps(scheduler(tmp_path)[0])) < 500
