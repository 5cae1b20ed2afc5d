import dataclasses
import json
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from kdray.results.records import EpochReport, TrialResult

RESULT = TrialResult(
    trial_id="0003",
    status="failed",
    parameters={"pruning.method": "magnitude", "distillation.alpha": 0.5, "student.head": None},
    metrics={"macro_f1": 0.5},
    stage="distil",
    error="the loss is\nno longer finite ভালো\u2028",
    epochs=2,
)
REPORT = EpochReport(1, 4, {"macro_f1": 0.5}, {"loss": 1.5}, 2.5)


@pytest.mark.parametrize("record", [RESULT, REPORT])
def test_a_record_is_one_line_and_comes_back_the_same(record: TrialResult | EpochReport) -> None:
    line = record.to_json()
    assert "\n" not in line
    assert type(record).from_json(line) == record


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RESULT.status = "completed"  # type: ignore[misc]  # that is what is tested


def test_numbers_of_numpy_and_read_only_mappings_are_written_as_plain_values() -> None:
    metrics: Any = MappingProxyType({"macro_f1": np.float32(0.5), "macs": np.int64(3)})
    line = EpochReport(1, 4, metrics, {}, 0.0).to_json()
    assert json.loads(line)["metrics"] == {"macro_f1": 0.5, "macs": 3}


def test_what_json_cannot_write_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot stand in a record"):
        TrialResult("0", "completed", {"x": object()}).to_json()


def test_the_shares_of_the_terms_are_told_from_what_else_is_known_of_a_training() -> None:
    shares = {"loss_share_hard": 0.3, "gradient_share_hard": 0.6}
    training = {"loss": 1.5, "learning_rate": 1e-3, **shares}
    assert EpochReport(1, 4, {"macro_f1": 0.5}, training, 2.5).shares == shares
    assert REPORT.shares == {}
