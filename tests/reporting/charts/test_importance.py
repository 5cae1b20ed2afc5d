import json
from typing import Any

from kdray.reporting.charts.base import Chart
from kdray.reporting.charts.importance import importance_charts

from ..conftest import MakeSweep
from .conftest import tabled, trial

FOUND: dict[str, Any] = {
    "trials": 40,
    "importance": {
        "macro_f1": {"training.learning_rate": 0.75, "pruning.ratio": 0.25, "student.layers": 0.0},
        "size_mb": {"pruning.ratio": 0.0, "student.layers": 0.0, "training.learning_rate": 0.0},
    },
    "explained": {"macro_f1": 0.8, "size_mb": 0.0},
    "trials_with": {"pruning.ratio": 20},
    "drawn_together": {"student.layers": ["student.width"]},
}


def charts(make_sweep: MakeSweep, **changes: Any) -> list[Chart]:
    folder = make_sweep(trial(1, 0.7))
    folder.importance_json.write_text(json.dumps(FOUND | changes), encoding="utf-8")
    return importance_charts(tabled(folder))


def test_each_objective_has_its_bars_and_says_what_they_are_worth(make_sweep: MakeSweep) -> None:
    quality, size = charts(make_sweep)
    assert (quality.name, size.name) == ("importance_macro_f1", "importance_size_mb")
    assert quality.series[0].x == [
        "training.learning_rate",
        "pruning.ratio",
        "student.layers and 1 with it",
    ]
    assert quality.series[0].y == [0.75, 0.25, 0.0]
    assert quality.says == (
        "Parameters foretell 80.0 % of the variance of macro-F1 between 40 trials, most of it "
        "training.learning_rate 75.0 % and pruning.ratio 25.0 %. What not every trial has is "
        "judged among those that have it."
    )
    assert not size.series
    assert size.says.startswith("The parameters foretell nothing of size between 40 trials")


def test_little_to_go_by_is_called_a_hint(make_sweep: MakeSweep) -> None:
    quality, _ = charts(make_sweep, trials=16)
    assert "Take it as a hint: that is little to go by." in quality.says


def test_too_few_trials_have_the_reason_instead_of_a_figure(make_sweep: MakeSweep) -> None:
    folder = make_sweep(trial(1, 0.7))
    assert importance_charts(tabled(folder)) == []
    folder.importance_json.write_text('{"trials": 1, "reason": "too few"}', encoding="utf-8")
    (chart,) = importance_charts(tabled(folder))
    assert not chart.series
    assert chart.says == "Nothing can be said of it: too few."
