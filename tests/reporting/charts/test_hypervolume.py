from dataclasses import replace

import pytest

from kdray.reporting.charts.base import Chart, Series
from kdray.reporting.charts.colours import FRONT, colours
from kdray.reporting.charts.front import front_chart
from kdray.reporting.charts.hypervolume import hypervolume_charts, joint_hypervolume
from kdray.reporting.report import read
from kdray.reporting.summary import write_tables
from kdray.results.folder import SweepFolder
from kdray.results.records import TrialResult

from ..conftest import MakeSweep, completed, failed, stopped


def timed(result: TrialResult, ended: str, seconds: float) -> TrialResult:
    return replace(result, ended_at=f"2026-01-01T{ended}.000+00:00", duration_s=seconds)


def written(folder: SweepFolder) -> SweepFolder:
    write_tables(folder, duration_s=1, busy_s=1)
    return folder


def zip_colours(chart: Chart) -> list[tuple[Series, str]]:
    return list(zip(chart.series, colours(chart), strict=True))


def test_it_grows_in_the_order_in_which_trials_ended_and_ends_at_the_sweeps(make_sweep: MakeSweep):
    trials = [
        timed(completed("0001", 0.7, 4), "10:03:00", 120),
        timed(completed("0002", 0.6, 2), "10:01:00", 60),
        timed(failed("0003"), "10:02:00", 60),
        timed(stopped("0004", 0.76, 1), "10:04:00", 60),
    ]
    sweep = read(written(make_sweep(*trials)))

    over_trials, over_time = hypervolume_charts([sweep])

    [series] = over_trials.series
    assert list(series.x) == [0, 1, 2, 3, 4]
    # One box is (0.6 - 0.31) / (0.77 - 0.31) high and (8 - 2) / 8 wide.
    assert series.y[1] == pytest.approx(0.29 / 0.46 * 6 / 8)
    assert series.y[2] == series.y[1]
    assert series.y[3] == series.y[4] == pytest.approx(sweep.summary["hypervolume"])
    assert list(over_time.series[0].y) == list(series.y)
    assert over_time.x == "time in which trials ran (min)"
    assert list(over_time.series[0].x) == [0, 1, 2, 3, 4]


def test_a_pause_is_no_time_and_trials_side_by_side_count_once(make_sweep: MakeSweep):
    trials = [
        timed(completed("0001", 0.6, 4), "10:10:00", 600),
        timed(completed("0002", 0.7, 4), "10:12:00", 600),
        timed(completed("0003", 0.75, 4), "23:00:00", 300),
    ]

    _, over_time = hypervolume_charts([read(written(make_sweep(*trials)))])

    assert list(over_time.series[0].x) == [0, 10, 12, 17]


def test_a_sweep_that_did_not_write_down_when_trials_ended_shows_their_time(make_sweep: MakeSweep):
    trials = [replace(completed(f"000{n}", 0.6 + n / 100, 4), duration_s=5400) for n in (1, 2)]

    _, over_time = hypervolume_charts([read(written(make_sweep(*trials)))])

    assert over_time.x == "time of trials, one by one (h)"
    assert list(over_time.series[0].x) == [0, 1.5, 3]


def test_infeasible_trials_count_for_nothing(make_sweep: MakeSweep):
    folder = make_sweep(completed("0001", 0.7, 4), constraints={"size_mb": {"maximum": 2}})

    assert hypervolume_charts([read(written(folder))]) == []


def test_several_sweeps_are_measured_alike(make_sweep: MakeSweep):
    one = written(make_sweep(completed("0001", 0.7, 4)))
    one = SweepFolder(one.root.rename(one.root.with_name("one")))
    other = written(make_sweep(completed("0001", 0.6, 2)))
    sweeps = [read(one), read(other)]

    [over_trials] = hypervolume_charts(sweeps)

    assert [series.name for series in over_trials.series] == ["one", "demo"]
    of_front = {one.name: c for one, c in zip_colours(front_chart(sweeps))}
    assert [c for _, c in zip_colours(over_trials)] == [of_front["one"], of_front["demo"]]
    assert len(set(of_front.values()) - {FRONT}) > 2
    assert joint_hypervolume(sweeps, sweeps[0]) > max(s.y[-1] for s in over_trials.series)
