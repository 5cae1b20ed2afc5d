import json
import math
from dataclasses import replace
from typing import Any

import pytest
from scipy import stats

from kdray.reporting.confirmation import (
    Interval,
    Judged,
    Verdict,
    confirmation_id,
    interval,
    interval_of,
    verdict,
    write_confirmation,
)
from kdray.results.folder import write_trial
from kdray.results.records import TrialResult
from tests.reporting.conftest import MakeSweep, completed

OBJECTIVES: Any = {"macro_f1": "maximize", "size_mb": "minimize"}
# A small one, the knee, and a large one.
FRONT = [completed("0001", 0.5, 1.0), completed("0002", 0.8, 1.2), completed("0003", 0.82, 3.0)]


def runs(trial_id: str, *values: float) -> list[dict[str, Any]]:
    (own,) = [one for one in FRONT if one.trial_id == trial_id]
    return [
        {"seed": seed, "metrics": {**own.metrics, "macro_f1": value}}
        for seed, value in enumerate(values, start=1)
    ]


def judge(**values: list[float]) -> Verdict:
    judged = Judged(FRONT, OBJECTIVES, {}, "macro_f1")
    return verdict(judged, {i.removeprefix("t"): runs(i[1:], *v) for i, v in values.items()})


def test_an_interval_is_that_of_students_distribution() -> None:
    values = [0.74, 0.77, 0.75, 0.71]
    low, high = stats.t.interval(0.95, 3, loc=0.7425, scale=stats.sem(values))
    found = interval(values)
    assert found.runs == 4
    assert found.mean == pytest.approx(0.7425)
    assert found.mean - found.half_width == pytest.approx(low)
    assert found.mean + found.half_width == pytest.approx(high)


def test_one_value_has_no_interval_and_none_has_no_mean() -> None:
    assert interval([0.5]).mean == 0.5
    assert math.isnan(interval([0.5]).half_width)
    assert math.isnan(interval([]).mean)
    assert interval([0.5, math.nan, 0.7]).runs == 2
    assert interval([1.9, 1.9, 1.9]) == Interval(1.9, 0.0, 3)


def test_an_interval_is_over_the_completed_runs_that_have_the_metric() -> None:
    some = [*runs("0001", 0.4, 0.6), {"seed": 3, "error": "distil: the loss is NaN"}]
    assert interval_of(some, "macro_f1").runs == 2
    assert interval_of(some, "macro_f1").mean == pytest.approx(0.5)
    assert interval_of(some, "auroc").runs == 0


def test_a_winner_that_is_as_good_with_other_seeds_keeps_its_place() -> None:
    found = judge(t0001=[0.5, 0.5], t0002=[0.8, 0.82], t0003=[0.8, 0.84])
    assert (found.winner, found.knee, found.keeps_place) == ("0002", "0002", True)
    assert found.luck == pytest.approx(-0.01)
    assert found.said == (
        "Trial 0002, the knee of the front, keeps its place. Its macro-F1 on validation was 0.800 "
        "in the sweep and is 0.810 ± 0.127 with other seeds: none of it was luck."
    )


def test_what_of_a_winners_value_was_luck_is_said() -> None:
    found = judge(t0001=[0.5, 0.5], t0002=[0.779, 0.781], t0003=[0.82, 0.82])
    assert found.keeps_place
    assert found.luck == pytest.approx(0.02)
    assert found.said.endswith("is 0.780 ± 0.013 with other seeds: 0.020 of it was luck.")


def test_luck_within_the_interval_is_no_more_than_a_maybe() -> None:
    found = judge(t0001=[0.5, 0.5], t0002=[0.76, 0.8], t0003=[0.82, 0.82])
    assert "0.020 of it may have been luck, which is within the interval" in found.said
    assert "none of it" in judge(t0001=[0.5] * 2, t0002=[0.7999] * 2, t0003=[0.82] * 2).said


def test_a_winner_that_others_dominate_with_other_seeds_loses_its_place() -> None:
    found = judge(t0001=[0.6, 0.6], t0002=[0.4, 0.4], t0003=[0.82, 0.82])
    assert not found.on_front
    assert not found.keeps_place
    assert found.knee == "0003"
    assert "loses its place: with other seeds it is not on the front, whose knee is" in found.said


def test_a_winner_may_stay_on_the_front_and_not_be_its_knee() -> None:
    found = judge(t0001=[0.5, 0.5], t0002=[0.51, 0.51], t0003=[0.9, 0.9])
    assert found.on_front
    assert found.knee == "0003"
    assert "stays on it with other seeds, but the knee is then 0003" in found.said


def test_means_that_break_the_constraints_are_not_on_the_front() -> None:
    bounds = {"macro_f1": {"minimum": 0.79}}
    judged = Judged([FRONT[1]], OBJECTIVES, bounds, "macro_f1")
    found = verdict(judged, {"0002": runs("0002", 0.77, 0.79)})
    assert found.knee is None
    assert found.said.startswith(
        "Trial 0002, the only one on the front, loses its place: with other seeds no student keeps "
        "to the constraints."
    )


def test_of_a_metric_that_is_minimised_a_lower_value_was_luck() -> None:
    low = [replace(one, metrics={**one.metrics, "ece": 0.05}) for one in FRONT[:1]]
    judged = Judged(low, {"ece": "minimize"}, {}, "ece")
    some = [{"seed": seed, "metrics": {"ece": 0.08}} for seed in (1, 2)]
    assert verdict(judged, {"0001": some}).luck == pytest.approx(0.03)


def test_a_winner_of_which_no_run_completed_could_not_be_confirmed() -> None:
    judged = Judged(FRONT, OBJECTIVES, {}, "macro_f1")
    failed = [{"seed": 1, "error": "distil: the loss is NaN"}]
    trials = {"0001": runs("0001", 0.5), "0002": failed, "0003": runs("0003", 0.8)}
    found = verdict(judged, trials)
    assert not found.keeps_place
    assert "0002, the knee of the front, could not be confirmed: none of its runs" in found.said


def test_what_is_on_disk_of_the_front_is_written_down(make_sweep: MakeSweep) -> None:
    folder = make_sweep(*FRONT)
    metrics = {"macro_f1": 0.7, "test_macro_f1": 0.71}
    for trial_id, seed in (("0002", 10), ("0002", 2), ("0009", 1)):
        result = TrialResult(confirmation_id(trial_id, seed), "completed", {}, metrics)
        write_trial(folder.confirmations, result)
    broken = TrialResult(confirmation_id("0001", 2), "failed", stage="distil", error="NaN")
    write_trial(folder.confirmations, broken)
    found = write_confirmation(folder, ["0001", "0002"])
    assert found == json.loads(folder.confirmation_json.read_text())
    assert found == {
        "seeds": [2, 10],
        "trials": {
            "0001": [{"seed": 2, "error": "distil: NaN"}],
            "0002": [{"seed": 2, "metrics": metrics}, {"seed": 10, "metrics": metrics}],
        },
    }
    assert len(folder.results()) == 3


def test_one_run_is_too_few_for_an_interval_and_nothing_is_called_luck() -> None:
    found = judge(t0001=[0.5, 0.5], t0002=[0.7], t0003=[0.82])
    assert found.said.endswith(
        "is 0.700 with other seeds: what of it was luck is not known. Of 0002, 0003 only one run "
        "completed: too few for an interval."
    )
