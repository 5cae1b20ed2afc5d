import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kdray.reporting.importance import (
    Column,
    importances,
    read_importance,
    shuffled,
    write_importance,
)
from kdray.reporting.report import write_report
from kdray.reporting.summary import write_tables
from kdray.results.records import TrialResult

from .conftest import MakeSweep, failed


def sweep(count: int = 40) -> list[TrialResult]:
    """Half of the trials are pruned; quality is of the learning rate, size of layers and ratio."""
    generator = np.random.default_rng(1)
    trials = []
    for number in range(count):
        rate, alpha, ratio = generator.random(3)
        drawn: dict[str, Any] = {
            "student.layers": int(generator.integers(1, 4)),
            "pruning.method": "none" if number % 2 else "magnitude",
            "training.learning_rate": 10 ** (2 * rate - 4),
            "distillation.alpha": alpha,
        }
        size = float(drawn["student.layers"])
        if drawn["pruning.method"] == "magnitude":
            drawn["pruning.ratio"] = ratio
            size *= 1 - ratio
        metrics = {"macro_f1": 1 - (rate - 0.5) ** 2, "size_mb": size}
        trials.append(TrialResult(f"{number:04d}", "completed", drawn, metrics))
    return trials


def measured(trial: TrialResult, **metrics: float) -> TrialResult:
    return replace(trial, metrics={**trial.metrics, **metrics})


def of(trials: list[TrialResult]) -> dict[str, Any]:
    return importances(trials, ["macro_f1", "size_mb"])


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return of(sweep())


def test_what_decides_an_objective_has_its_importance_and_what_does_not_has_none(
    found: dict[str, Any],
) -> None:
    quality, size = found["importance"]["macro_f1"], found["importance"]["size_mb"]
    assert next(iter(quality)) == "training.learning_rate"
    assert quality["training.learning_rate"] > 0.95
    assert (size["training.learning_rate"], size["distillation.alpha"]) == (0, 0)
    assert min(size["student.layers"], size["pruning.method"], size["pruning.ratio"]) > 0.05
    assert sum(size.values()) == pytest.approx(1, abs=1e-3)
    assert all(value > 0.7 for value in found["explained"].values())


def test_a_parameter_that_some_trials_have_is_told_with_their_number(
    found: dict[str, Any],
) -> None:
    assert (found["trials"], found["trials_with"]) == (40, {"pruning.ratio": 20})
    assert "among those that have it" in found["computed"]


def test_noise_has_no_importance() -> None:
    generator = np.random.default_rng(2)
    found = of([measured(trial, macro_f1=generator.random()) for trial in sweep()])
    assert found["explained"]["macro_f1"] == 0
    assert set(found["importance"]["macro_f1"].values()) == {0.0}
    assert found["explained"]["size_mb"] > 0.7


def test_an_objective_that_never_changes_has_no_importance() -> None:
    found = of([measured(trial, size_mb=2.0) for trial in sweep()])
    assert found["explained"]["size_mb"] == 0
    assert set(found["importance"]["size_mb"].values()) == {0.0}


def test_parameters_that_change_together_are_told_by_one_name() -> None:
    def tied(drawn: Mapping[str, Any]) -> dict[str, Any]:
        width = 64 * drawn["student.layers"]
        return {**drawn, "student.width": width, "student.pooling": "cls"}

    found = of([replace(trial, parameters=tied(trial.parameters)) for trial in sweep()])
    assert found["drawn_together"] == {"student.layers": ["student.width"]}
    assert "student.width" not in found["importance"]["size_mb"]
    assert "student.pooling" not in found["importance"]["size_mb"]


def test_an_option_that_holds_one_value_tells_by_being_there() -> None:
    trials = [
        TrialResult(
            f"{number:04d}",
            "completed",
            {"pruning.0.method": "width"} if number % 2 else {"pruning.method": "random"},
            {"macro_f1": 0.5 + 0.2 * (number % 2), "size_mb": 1.0},
        )
        for number in range(12)
    ]
    found = of(trials)
    assert found["importance"]["macro_f1"] == {"pruning.0.method": 1.0}
    assert found["drawn_together"] == {"pruning.0.method": ["pruning.method"]}


def test_few_trials_are_answered_with_the_reason() -> None:
    trials = [*sweep(9), failed("0009")]
    assert of(trials) == {
        "trials": 9,
        "reason": "9 completed trials are too few; 10 are needed",
    }


def test_without_a_drawn_parameter_there_is_a_reason() -> None:
    trials = [TrialResult(str(n), "completed", {}, {"macro_f1": n}) for n in range(12)]
    reason = importances(trials, ["macro_f1"])["reason"]
    assert reason == "no parameter had more than one value"


def test_the_file_is_the_same_each_time_it_is_written(make_sweep: MakeSweep) -> None:
    folder = make_sweep(*sweep(12))
    write_importance(folder)
    first = folder.importance_json.read_text("utf-8")
    write_importance(folder)
    assert folder.importance_json.read_text("utf-8") == first
    assert read_importance(folder) == json.loads(first)
    assert not list(folder.root.glob(".*importance*"))


def test_a_report_writes_it_and_few_trials_do_not_stop_it(make_sweep: MakeSweep) -> None:
    folder = make_sweep(*sweep(3))
    write_tables(folder, duration_s=1, busy_s=1)
    write_report(folder)
    assert read_importance(folder) == {
        "trials": 3,
        "reason": "3 completed trials are too few; 10 are needed",
    }
    said = "Nothing can be said of it: 3 completed trials are too few; 10 are needed."
    for name in ("report.html", "report.md"):
        assert said in (folder.root / name).read_text("utf-8")
    assert not list((folder.root / "figures").glob("importance*"))


def test_a_published_report_keeps_its_file(make_sweep: MakeSweep) -> None:
    folder = make_sweep()
    assert read_importance(folder) is None
    folder.importance_json.write_text('{"trials": 12}', encoding="utf-8")
    write_importance(folder)
    assert read_importance(folder) == {"trials": 12}


def test_a_parameter_is_shuffled_only_among_the_trials_that_have_it() -> None:
    columns = [
        Column(np.arange(8.0).reshape(8, 1), np.arange(8)),
        Column(np.array([[5, 0, 1, 5, 2, 3, 5, 5]], dtype=float).T, np.array([1, 2, 4, 5])),
    ]
    inputs = np.concatenate([column.values for column in columns], axis=1)
    rows = np.array([0, 1, 2, 3, 4, 5])
    first, second = shuffled(columns, inputs, rows, np.random.default_rng(0))
    assert sorted(first[:, 0]) == [0, 1, 2, 3, 4, 5]
    assert first[:, 1].tolist() == [5, 0, 1, 5, 2, 3]
    assert second[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert second[[0, 3], 1].tolist() == [5, 5]
    assert sorted(second[[1, 2, 4, 5], 1]) == [0, 1, 2, 3]
    assert second[[1, 2, 4, 5], 1].tolist() != [0, 1, 2, 3]
