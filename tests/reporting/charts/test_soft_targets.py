import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kdray.reporting.charts.base import Chart
from kdray.reporting.charts.soft_targets import choose_rows, soft_target_charts
from kdray.results.folder import PREDICTIONS, TEXTS, TRUTH

from ..conftest import MakeSweep
from .conftest import tabled, trial

LABELS = np.array(["bully", "spam"])
# Sure of a label; unsure of one; sure of no label; wrong; right and in the middle.
LOGITS = np.array([[6.0, -6.0], [0.1, -3.0], [-9.0, -9.0], [4.0, -4.0], [-3.0, 2.0]])
TRUE = np.array([[1, 0], [1, 0], [0, 0], [0, 1], [0, 1]], np.float32)


def charts(
    make_sweep: MakeSweep, logits: np.ndarray, truth: np.ndarray, texts: list[str] | None = None
) -> dict[str, Chart]:
    folder = make_sweep(trial(1, 0.7))
    np.savez(folder.teacher / TRUTH, test=truth, labels=LABELS)
    np.savez(folder.teacher / PREDICTIONS, test=logits)
    if texts is not None:
        (folder.teacher / TEXTS).write_text(json.dumps({"test": texts}), encoding="utf-8")
    return {chart.name: chart for chart in soft_target_charts(tabled(folder))}


def test_examples_are_chosen_by_how_sure_the_teacher_is_and_none_twice() -> None:
    # Surest is the one without a label, but it would show nothing.
    assert choose_rows({"test": LOGITS}, TRUE) == {"sure": 0, "between": 4, "unsure": 1, "wrong": 3}


def test_a_case_that_no_example_is_of_is_left_out() -> None:
    assert choose_rows({"test": LOGITS[:1]}, TRUE[:1]) == {"sure": 0}
    assert choose_rows({"test": LOGITS[3:4]}, TRUE[3:4]) == {"wrong": 0}


def test_labels_are_softened_by_the_sigmoid_of_each(make_sweep: MakeSweep) -> None:
    chart = charts(make_sweep, LOGITS, TRUE)["soft_targets_sure"]
    assert [(one.name, one.kind, one.x) for one in chart.series] == [
        (name, "bars", ["bully", "spam"]) for name in ("T = 1", "T = 3", "T = 10")
    ]
    for one, t in zip(chart.series, (1, 3, 10), strict=True):
        assert one.y == pytest.approx([1 / (1 + np.exp(-6 / t)), 1 / (1 + np.exp(6 / t))])


def test_classes_are_softened_together(make_sweep: MakeSweep) -> None:
    logits = np.array([[2.0, 0.0], [0.0, 0.5]])
    chart = charts(make_sweep, logits, np.array([0, 0]))["soft_targets_sure"]
    for one, t in zip(chart.series, (1, 3, 10), strict=True):
        assert one.y == pytest.approx([1 / (1 + np.exp(-2 / t)), 1 / (1 + np.exp(2 / t))])
    assert chart.says == (
        "Row 0 of test; truth: bully. At T = 1 the teacher says bully 0.881 and spam 0.119, "
        "at T = 10 0.550 and 0.450."
    )


def test_texts_are_told_only_where_they_may_be(make_sweep: MakeSweep) -> None:
    texts = ["you are <b>cranky</b>", "b", "c", "d", "e"]
    chart = charts(make_sweep, LOGITS, TRUE, texts)["soft_targets_sure"]
    assert chart.says.startswith("Row 0 of test, “you are <b>cranky</b>”; truth: bully.")


def test_third_party_texts_are_named_by_their_row(make_sweep: MakeSweep) -> None:
    said = charts(make_sweep, LOGITS, TRUE)
    assert said["soft_targets_wrong"].says.startswith("Row 3 of test; truth: spam.")


def test_of_many_labels_the_likeliest_are_drawn_in_their_order(
    make_sweep: MakeSweep, monkeypatch: Any
) -> None:
    names = np.array([f"l{n}" for n in range(20)])
    monkeypatch.setattr("tests.reporting.charts.test_soft_targets.LABELS", names)
    logits = np.linspace(5, -5, 20)[None, ::-1]
    truth = np.zeros((1, 20), np.float32)
    (chart,) = charts(make_sweep, logits, truth).values()
    assert list(chart.series[0].x) == [f"l{n}" for n in range(8, 20)]


def test_without_predictions_there_is_no_figure(make_sweep: MakeSweep) -> None:
    assert soft_target_charts(tabled(make_sweep(trial(1, 0.7)))) == []


def test_an_ensemble_is_not_softened_as_if_it_were_one_teacher(make_sweep: MakeSweep) -> None:
    folder = make_sweep(trial(1, 0.7))
    np.savez(folder.teacher / TRUTH, test=TRUE, labels=LABELS)
    np.savez(folder.teacher / PREDICTIONS, test=LOGITS)
    sweep = tabled(folder)
    together = replace(sweep, summary={**sweep.summary, "teacher_members": [{}, {}]})

    chart = soft_target_charts(together)[0]

    assert [one.name for one in chart.series] == ["T = 1"]
    assert "At T = 1 the teacher says bully 0.998 and spam 0.002. It is an ensemble" in chart.says
