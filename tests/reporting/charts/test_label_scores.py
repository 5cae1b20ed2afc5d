import json
from dataclasses import replace
from typing import Any

from kdray.reporting.charts.label_scores import label_charts
from kdray.results.folder import SweepFolder, write_trial

from ..conftest import MakeSweep, verification
from .conftest import tabled, trial


def with_labels(make_sweep: MakeSweep, bully: float, spam: float) -> SweepFolder:
    student = trial(1, 0.7)
    scores = {"test_f1_bully": bully, "test_f1_spam": spam}
    folder = make_sweep(replace(student, metrics={**student.metrics, **scores}))
    found: dict[str, Any] = verification()
    found["metrics"] = {**found["metrics"], "test_f1_bully": 0.8, "test_f1_spam": 0.9}
    folder.verification_json.write_text(json.dumps(found), encoding="utf-8")
    return folder


def test_teacher_student_and_twin_stand_by_label(make_sweep: MakeSweep) -> None:
    folder = with_labels(make_sweep, 0.75, 0.6)
    twin = replace(trial(1, 0.6), metrics={"test_f1_bully": 0.7, "test_f1_spam": 0.65})
    write_trial(folder.baselines, twin)
    (chart,) = label_charts(tabled(folder))
    assert {one.name: one.y for one in chart.series} == {
        "teacher": [0.8, 0.9],
        "trial 0001": [0.75, 0.6],
        "the same from labels only": [0.7, 0.65],
    }
    assert chart.series[0].x == ["bully", "spam"]
    assert chart.says == (
        "On test trial 0001 is behind its teacher at 2 of 2 labels, furthest at spam: from 0.900 "
        "to 0.600."
    )


def test_without_a_twin_there_are_two(make_sweep: MakeSweep) -> None:
    (chart,) = label_charts(tabled(with_labels(make_sweep, 0.85, 0.9)))
    assert [one.name for one in chart.series] == ["teacher", "trial 0001"]
    assert chart.says == "On test trial 0001 is nowhere behind its teacher."


def test_without_scores_by_label_there_is_no_figure(make_sweep: MakeSweep) -> None:
    assert label_charts(tabled(make_sweep(trial(1, 0.7)))) == []
