import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from kdray.results.folder import SweepFolder, write_trial
from kdray.results.records import TrialResult
from kdray.sweep.schedulers.history import best_epoch, criteria_of, past, standings

from .trials import CRITERIA, reports

NAMES = ("macro_f1", "size_mb")


def test_a_trial_is_worth_its_best_epoch_so_far_and_not_its_last() -> None:
    history = {"0000": reports([0.5, 0.7, 0.6, 0.9], 2.0)}
    assert standings(history, 1, CRITERIA, NAMES) == {"0000": [0.5, 2.0]}
    assert standings(history, 3, CRITERIA, NAMES) == {"0000": [0.7, 2.0]}


def test_the_best_epoch_is_that_of_the_selection_metric_in_every_objective() -> None:
    made = [*reports([0.5], 2.0, ece=0.1), *reports([0.0, 0.7], 2.0, ece=0.4)[1:]]
    assert standings({"0000": made}, 2, CRITERIA, ("macro_f1", "ece")) == {"0000": [0.7, 0.4]}


@pytest.mark.parametrize(
    ("scores", "epoch"),
    [([0.5, 0.5], 1), ([math.nan, 0.1], 2), ([math.nan, math.nan], 1), ([0.5, math.nan], 1)],
)
def test_the_best_epoch_is_the_first_of_the_highest_as_weights_are_kept(
    scores: list[float], epoch: int
) -> None:
    assert best_epoch(reports(scores, 1.0), "macro_f1").epoch == epoch


def test_only_trials_that_reached_an_epoch_and_go_on_are_seen_in_the_order_of_their_ids() -> None:
    history = {
        "10000": reports([0.4, 0.5], 1.0),
        "0002": reports([0.4], 1.0),
        "0003": reports([0.4, 0.6], 1.0, epochs=2),
        "0004": [],
        "0001": reports([0.4, 0.7, 0.8], 1.0),
    }
    assert list(standings(history, 2, CRITERIA, NAMES)) == ["0001", "10000"]


def test_a_value_that_is_missing_is_no_number() -> None:
    [value] = standings({"0000": reports([0.5], 1.0)}, 1, CRITERIA, ["auroc"])["0000"]
    assert math.isnan(value)


def test_only_qualities_have_a_reference_and_the_teacher_needs_no_latency() -> None:
    ways = {"latency_ms": "minimize", "ece": "minimize", "f1_spam": "maximize"}
    found = criteria_of(ways, {"metrics": {}, "constant": {"f1_spam": 0.2}})  # type: ignore[arg-type]
    assert found.reference == {"f1_spam": 0.2}
    assert found.selection_metric == "f1_spam"
    assert list(found.reported_in(reports([0.1], 1.0, ece=0.1)[0])) == ["ece"]


def test_the_past_is_every_trial_on_disk_that_did_not_fail(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    for trial_id, status in (("0000", "completed"), ("0001", "stopped_early"), ("0002", "failed")):
        result = TrialResult(trial_id, status)  # type: ignore[arg-type]
        write_trial(folder, result, reports([0.5, 0.6], 1.0))
    found = past(folder)
    assert sorted(found) == ["0000", "0001"]
    assert json.loads(found["0001"][1].to_json())["metrics"] == {"macro_f1": 0.6, "size_mb": 1.0}


def test_epochs_of_earlier_generations_and_of_hints_do_not_count() -> None:
    made = [
        replace(report, before=2, rising=report.epoch <= 2)
        for report in reports([0.9, 0.8, 0.4, 0.5, 0.6], 1.0, epochs=5)
    ]
    history = {"0000": made, "0001": reports([0.1, 0.2], 2.0, epochs=3)}
    assert standings(history, 1, CRITERIA, NAMES) == {"0000": [0.4, 1.0], "0001": [0.1, 2.0]}
    assert standings(history, 2, CRITERIA, NAMES)["0000"] == [0.5, 1.0]
    assert "0000" not in standings(history, 3, CRITERIA, NAMES)  # its last epoch
