from collections.abc import Sequence

from kdray.reporting.charts.base import Chart
from kdray.reporting.charts.effects import effect_charts
from kdray.results.records import TrialResult

from ..conftest import MakeSweep
from .conftest import tabled, trial

SEARCHED = {"method": {"choice": ["none", "logit", "hidden"]}}


def charts(make_sweep: MakeSweep, trials: Sequence[TrialResult]) -> dict[str, Chart]:
    sweep = tabled(make_sweep(*trials, distillation=SEARCHED))
    return {chart.name: chart for chart in effect_charts(sweep)}


def test_trials_stand_over_alpha_by_their_method(make_sweep: MakeSweep) -> None:
    trials = [
        trial(1, 0.70, distillation__method="logit", distillation__alpha=0.2),
        trial(2, 0.72, distillation__method="hidden", distillation__alpha=0.4),
        trial(3, 0.74, distillation__method="logit", distillation__alpha=0.6),
        trial(4, 0.60, distillation__method="none"),
    ]
    found = charts(make_sweep, trials)
    assert list(found) == ["alpha"]
    hidden, logit = found["alpha"].series
    assert (hidden.name, hidden.x, hidden.y, hidden.ids) == ("hidden", [0.4], [0.72], ["0002"])
    assert (logit.name, logit.x, logit.y) == ("logit", [0.2, 0.6], [0.70, 0.74])
    lines = found["alpha"].lines
    assert lines == {"teacher": 0.77, "labels only: median": 0.6}


def test_what_is_not_searched_has_no_figure(make_sweep: MakeSweep) -> None:
    assert charts(make_sweep, [trial(1, 0.7), trial(2, 0.6)]) == {}


def test_many_values_are_told_of_in_thirds(make_sweep: MakeSweep) -> None:
    trials = [
        trial(n, 0.7 + n / 100, distillation__method="logit", distillation__temperature=float(n))
        for n in range(1, 10)
    ]
    chart = charts(make_sweep, trials)["temperature"]
    assert chart.says.startswith(
        "Median macro-F1: 0.720 at temperature up to 3.67 (3 trials), "
        "0.750 up to 6.33 (3 trials), 0.780 above that (3 trials). That is more than chance"
    )
    assert not chart.log_x


def test_few_values_are_told_of_one_by_one_and_a_wide_range_by_its_logarithm(
    make_sweep: MakeSweep,
) -> None:
    trials = [
        trial(n, value, distillation__method="logit", distillation__temperature=at)
        for n, (value, at) in enumerate([(0.70, 1), (0.72, 1), (0.74, 20)])
    ]
    chart = charts(make_sweep, trials)["temperature"]
    assert chart.says == (
        "Median macro-F1: 0.710 at temperature 1 (2 trials), 0.740 at temperature 20 (1 trial). "
        "3 trials are too few to tell whether that is more than chance."
    )
    assert chart.log_x


def test_many_methods_are_one_series_that_hover_tells_apart(make_sweep: MakeSweep) -> None:
    methods = ["logit", "hidden", "attention", "pkd", "rkd", "minilm", "fitnet"]
    trials = [
        trial(n, 0.7, distillation__method=method, distillation__alpha=n / 10)
        for n, method in enumerate(methods)
    ]
    (series,) = charts(make_sweep, trials)["alpha"].series
    assert series.name == "trials, 7 methods"
    assert "distillation rkd" in (series.hover or ())[4]
