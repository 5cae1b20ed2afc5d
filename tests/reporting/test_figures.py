from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes

from kdray.reporting.figures import axes_of, pareto_figure, without_axis
from kdray.reporting.reading import read_summary, read_sweep, read_trials
from kdray.reporting.summary import write_tables
from kdray.results.folder import SweepFolder

from .conftest import MakeSweep, completed, failed, stopped


def axes(folder: SweepFolder) -> Axes:
    write_tables(folder, duration_s=1, busy_s=1)
    objectives = read_sweep(folder)["config"]["objectives"]
    return pareto_figure(read_trials(folder), read_summary(folder), objectives).axes[0]


def legend(shown: Axes) -> list[str]:
    return shown.get_legend_handles_labels()[1]


def test_figure_tells_the_kinds_of_trials_apart(make_sweep: MakeSweep):
    trials = [completed("0001", 0.7, 4), completed("0002", 0.6, 5), stopped("0003", 0.5, 3)]

    shown = axes(make_sweep(*trials, failed("0004")))

    assert legend(shown) == [
        *["completed", "stopped early", "front", "97 % of the teacher"],
        "teacher: 0.770 at 8.0 MB",
    ]


def test_trials_outside_the_constraints_are_crossed_out(make_sweep: MakeSweep):
    trials = [completed("0001", 0.7, 4), completed("0002", 0.6, 2), completed("0003", 0.5, 2)]

    shown = axes(make_sweep(*trials, failed("0004"), constraints={"size_mb": {"maximum": 3}}))

    assert legend(shown)[:3] == ["completed", "outside the constraints", "front"]
    crosses = shown.collections[legend(shown).index("outside the constraints")]
    assert np.asarray(crosses.get_offsets()).tolist() == [[4, 0.7]]


def test_front_is_drawn_on_validation_and_named(make_sweep: MakeSweep):
    shown = axes(make_sweep(completed("0001", 0.7, 4), completed("0002", 0.6, 2)))

    front = next(line for line in shown.lines if line.get_label() == "front")
    assert np.asarray(front.get_xydata()).tolist() == [[2, 0.6], [4, 0.7]]
    assert front.get_drawstyle() == "steps-post"
    assert sorted(text.get_text() for text in shown.texts) == ["0001", "0002"]


def test_names_of_crowded_points_do_not_overlap(make_sweep: MakeSweep):
    crowd = [completed(f"{n:04d}", 0.7 + n / 10_000, 4 + n / 1000) for n in range(12)]

    shown = axes(make_sweep(*crowd))

    boxes = [text.get_window_extent() for text in shown.texts]
    assert 0 < len(boxes) < 12
    assert not any(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[:n])


@pytest.mark.parametrize(("smallest", "scale"), [(0.5, "log"), (2.0, "linear")])
def test_sizes_that_span_more_than_tenfold_are_logarithmic(
    make_sweep: MakeSweep, smallest: float, scale: str
):
    shown = axes(make_sweep(completed("0001", 0.6, smallest), completed("0002", 0.7, 5)))

    assert shown.get_xscale() == scale


def test_one_objective_is_shown_by_trial(make_sweep: MakeSweep):
    shown = axes(make_sweep(completed("0001", 0.7, 4), objectives={"macro_f1": "maximize"}))

    assert shown.get_xlabel() == "number of the trial"
    assert legend(shown)[-1] == "teacher: 0.770"


def test_figure_says_validation_only_of_what_depends_on_texts(make_sweep: MakeSweep):
    objectives = {"a_ms": "minimize", "ece": "minimize", "latency_ms": "minimize"}
    assert without_axis({"macro_f1": "maximize", **objectives}) == [
        "expected calibration error",
        "latency",
    ]

    costs = {"latency_ms": "minimize", "size_mb": "minimize"}
    shown = axes(make_sweep(completed("0001", 0.7, 4), objectives=costs))

    assert (shown.get_xlabel(), shown.get_ylabel()) == ("size (MB)", "latency (ms)")


def test_figure_without_completed_trials_shows_the_teacher(make_sweep: MakeSweep):
    shown = axes(make_sweep(failed("0001")))

    assert legend(shown) == ["97 % of the teacher", "teacher: 0.770 at 8.0 MB"]


@pytest.mark.parametrize(
    ("objectives", "shown"),
    [
        ({"macro_f1": "maximize", "size_mb": "minimize"}, ("size_mb", "macro_f1")),
        ({"size_mb": "minimize", "macro_f1": "maximize"}, ("size_mb", "macro_f1")),
        ({"accuracy": "maximize", "macro_f1": "maximize"}, ("macro_f1", "accuracy")),
        ({"ece": "minimize", "size_mb": "minimize"}, ("size_mb", "ece")),
    ],
)
def test_axes_are_the_first_maximised_over_the_first_minimised(
    objectives: dict[str, Any], shown: tuple[str, str]
):
    assert axes_of(objectives) == shown
