from typing import Any

from kdray.reporting.charts.groups import method_charts, soft_and_hard_charts
from kdray.results.folder import write_trial
from kdray.results.records import TrialResult

from ..conftest import MakeSweep
from .conftest import tabled, trial


def test_methods_stand_by_their_medians_the_best_first(make_sweep: MakeSweep) -> None:
    trials = [
        trial(1, 0.60, distillation__method="none"),
        trial(2, 0.70, distillation__method="logit"),
        trial(3, 0.74, distillation__method="logit"),
        trial(4, 0.90, distillation__method="logit"),
    ]
    (chart,) = method_charts(tabled(make_sweep(*trials)))
    points, middle = chart.series
    assert (chart.name, chart.title) == ("distillation", "Quality by distillation method")
    assert (middle.x, middle.y) == (["logit", "none"], [0.74, 0.60])
    assert (points.x, points.y) == (["logit"] * 3 + ["none"], [0.70, 0.74, 0.90, 0.60])
    assert points.ids == ["0002", "0003", "0004", "0001"]
    assert chart.says.startswith("Median macro-F1: logit 0.740 (3 trials), none 0.600 (1 trial).")


def test_one_method_is_no_comparison(make_sweep: MakeSweep) -> None:
    sweep = tabled(make_sweep(trial(1, 0.7), trial(2, 0.6)))
    assert method_charts(sweep) == []
    assert soft_and_hard_charts(sweep) == []


def test_pruning_in_stages_is_named_by_all_of_them(make_sweep: MakeSweep) -> None:
    pruning: list[dict[str, Any]] = [
        {"method": {"choice": ["width", "heads"]}, "ratio": 0.5},
        {"method": "vocabulary"},
    ]
    trials = [
        TrialResult("0001", "completed", {"pruning.0.method": "width"}, {"macro_f1": 0.7}),
        TrialResult("0002", "completed", {"pruning.0.method": "heads"}, {"macro_f1": 0.6}),
    ]
    folder = make_sweep(*trials, pruning=pruning, objectives={"macro_f1": "maximize"})
    (chart,) = method_charts(tabled(folder))
    assert chart.name == "pruning"
    assert chart.series[1].x == ["width + vocabulary", "heads + vocabulary"]


def test_regimes_are_compared_where_they_are_searched(make_sweep: MakeSweep) -> None:
    trials = [trial(1, 0.7, regime__name="single"), trial(2, 0.6, regime__name="mutual")]
    (chart,) = method_charts(tabled(make_sweep(*trials)))
    assert (chart.name, chart.series[1].x) == ("regime", ["single", "mutual"])


def test_many_groups_are_told_of_by_the_worst_and_the_best(make_sweep: MakeSweep) -> None:
    methods = ["logit", "hidden", "attention", "rkd", "pkd", "minilm"]
    trials = [trial(n, 0.6 + n / 100, distillation__method=it) for n, it in enumerate(methods)]
    (chart,) = method_charts(tabled(make_sweep(*trials)))
    head = "Median macro-F1: from logit 0.600 (1 trial) to minilm 0.650 (1 trial), of 6."
    assert chart.says.startswith(head)


def test_soft_hard_and_both_are_told_apart_by_alpha_and_method(make_sweep: MakeSweep) -> None:
    trials = [
        trial(1, 0.60, distillation__method="none"),
        trial(2, 0.62, distillation__method="logit", distillation__alpha=0),
        trial(3, 0.70, distillation__method="logit", distillation__alpha=0.5),
        trial(4, 0.80, distillation__method="hidden", distillation__alpha=1),
    ]
    sweep = tabled(make_sweep(*trials, distillation={"method": {"choice": ["none", "logit"]}}))
    (chart,) = soft_and_hard_charts(sweep)
    assert chart.series[1].x == ["labels only (hard)", "both", "teacher only (soft)"]
    assert chart.series[1].y == [0.61, 0.70, 0.80]
    assert chart.lines["labels only: median"] == 0.61


def test_baselines_of_the_front_are_what_labels_alone_teach(make_sweep: MakeSweep) -> None:
    trials = [trial(1, 0.70, distillation__alpha=0.5), trial(2, 0.72, distillation__alpha=0.3)]
    folder = make_sweep(*trials, evaluation={"baselines": True})
    write_trial(folder.baselines, trial(1, 0.66))
    write_trial(folder.baselines, trial(2, 0.68))
    (chart,) = soft_and_hard_charts(tabled(folder))
    assert chart.series[1].x == ["labels only (hard)", "both"]
    assert chart.series[1].y == [0.67, 0.71]
    assert chart.lines["labels only: median"] == 0.67
    assert chart.says.startswith(
        "Median macro-F1: labels only (hard) 0.670 (2 baselines), both 0.710 (2 trials)."
    )
    assert chart.says.endswith(
        "A baseline is a student of the front, trained again without the teacher. "
        "No trial learnt from the teacher alone (alpha 1)."
    )
