from collections.abc import Sequence

import pytest

from kdray.reporting.charts.base import Chart
from kdray.reporting.charts.training import training_charts
from kdray.results.folder import SweepFolder, write_trial
from kdray.results.records import EpochReport

from ..conftest import MakeSweep
from .conftest import tabled, trial


def learnt(
    folder: SweepFolder, number: int, values: Sequence[float], rising: int = 0, loss: float = 0
) -> None:
    reports = [
        EpochReport(
            n + 1, len(values), {"macro_f1": value}, {"loss": loss / (n + 1)}, 1.0, n < rising
        )
        for n, value in enumerate(values)
    ]
    write_trial(folder, trial(number, values[-1]), reports)


def chart_of(folder: SweepFolder) -> Chart:
    (chart,) = training_charts(tabled(folder))
    return chart


def test_lines_are_means_of_an_epoch_and_the_two_before_it(make_sweep: MakeSweep) -> None:
    folder = make_sweep()
    learnt(folder, 1, [0.3, 0.6, 0.6, 0.9])
    chart = chart_of(folder)
    single, line = chart.series
    assert (single.x, single.y) == ([1, 2, 3, 4], [0.3, 0.6, 0.6, 0.9])
    assert (line.name, line.x, line.role) == ("trial 0001", [1, 2, 3, 4], "front")
    assert line.y == pytest.approx([0.3, 0.45, 0.5, 0.7])
    assert chart.lines == {"teacher": 0.77}
    assert chart.says == (
        "Lines are means of each epoch and the 2 before it. For 1 of 1 student the last epoch was "
        "the best. Between the last two epochs macro-F1 changed by +0.300 (median of the "
        "students). More epochs may help."
    )


def test_epochs_in_which_pruning_goes_on_stand_apart_from_the_mean(make_sweep: MakeSweep) -> None:
    folder = make_sweep()
    learnt(folder, 1, [0.1, 0.2, 0.6, 0.8, 0.7], rising=2)
    chart = chart_of(folder)
    judged, early, line = chart.series
    assert (judged.x, early.x, early.role) == ([3, 4, 5], [1, 2], "stopped")
    assert (line.x, line.y) == ([3, 4, 5], pytest.approx([0.6, 0.7, 0.7]))
    assert "For 0 of 1 student the last epoch was the best" in chart.says
    assert "macro-F1 changed by -0.100" in chart.says
    assert "Hollow: pruning, hints or an earlier generation went on" in chart.says


def test_of_a_long_front_some_are_drawn_with_both_ends_and_the_chosen_one(
    make_sweep: MakeSweep,
) -> None:
    folder = make_sweep()
    for number in range(20):
        learnt(folder, number, [0.5, 0.5 + number / 100])
    chart = chart_of(folder)
    lines = [one.name for one in chart.series if one.kind == "line"]
    assert len(lines) in (6, 7)
    assert (lines[0], lines[-1]) == ("trial 0000", "trial 0019")
    assert [one.role for one in chart.series].count("front") == 1
    assert "students shown, of 20 on the front the last" in chart.says


def test_one_epoch_is_no_course(make_sweep: MakeSweep) -> None:
    folder = make_sweep()
    learnt(folder, 1, [0.5])
    assert training_charts(tabled(folder)) == []


def test_the_training_loss_is_a_share_of_the_first_epochs(make_sweep: MakeSweep) -> None:
    folder = make_sweep()
    learnt(folder, 1, [0.3, 0.6, 0.5, 0.7], rising=1, loss=12.0)
    _, chart = training_charts(tabled(folder))
    judged, early, line = chart.series
    assert chart.name == "training_loss"
    # 12, 6, 4 and 3, of which the first that is judged is 6.
    assert (judged.x, judged.y) == ([2, 3, 4], pytest.approx([1, 2 / 3, 1 / 2]))
    assert (early.x, early.y) == ([1], [2])
    assert line.y == pytest.approx([1, 5 / 6, 13 / 18])
    assert (judged.hover or ())[2] == "trial 0001, epoch 4\nloss 50.0 % of the first epoch's"
