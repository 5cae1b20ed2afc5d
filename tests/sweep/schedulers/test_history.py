import json
import math
from pathlib import Path

import pytest

from kdray.results.folder import SweepFolder, write_trial
from kdray.results.records import TrialResult
from kdray.sweep.schedulers.history import best_epoch, criteria_of, past

from .trials import reports


@pytest.mark.parametrize(
    ("scores", "epoch"),
    [([0.5, 0.5], 1), ([math.nan, 0.1], 2), ([math.nan, math.nan], 1), ([0.5, math.nan], 1)],
)
def test_the_best_epoch_is_the_first_of_the_highest_as_weights_are_kept(
    scores: list[float], epoch: int
) -> None:
    assert best_epoch(reports(scores, 1.0), "macro_f1").epoch == epoch


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
