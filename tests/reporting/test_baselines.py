import json
from typing import Any

import pytest

from kdray.reporting.reading import read_summary, read_trials
from kdray.reporting.report import write_report
from kdray.reporting.summary import write_tables
from kdray.results.folder import SweepFolder, write_trial
from kdray.results.records import TrialResult

from .conftest import MakeSweep, completed, failed

ASKED: dict[str, Any] = {"evaluation": {"baselines": True}}


def beside(folder: SweepFolder, *baselines: TrialResult) -> dict[str, Any]:
    """Writes baselines and tables, and returns what the summary says of the baselines."""
    for result in baselines:
        write_trial(folder.baselines, result)
    write_tables(folder, duration_s=1, busy_s=1)
    write_report(folder)
    found: dict[str, Any] = read_summary(folder).get("baselines", {})
    return found


def text(folder: SweepFolder) -> str:
    return (folder.root / "report.md").read_text(encoding="utf-8")


def front_row(folder: SweepFolder, trial_id: str) -> dict[str, str]:
    lines = [line for line in text(folder).splitlines() if line.startswith("| ")]
    split = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines]
    header = next(row for row in split if row[0] == "trial")
    return dict(zip(header, next(row for row in split if row[0] == trial_id), strict=True))


def test_teacher_student_and_twin_stand_side_by_side(make_sweep: MakeSweep):
    folder = make_sweep(completed("0001", 0.7, 2), completed("0002", 0.75, 4), **ASKED)
    found = beside(folder, completed("0001", 0.66, 2), completed("0002", 0.76, 4))

    assert found["0001"]["status"] == "completed"
    assert found["0001"]["metrics"] == {
        "baseline_macro_f1": 0.66,
        "test_baseline_macro_f1": pytest.approx(0.65),
    }
    student = front_row(folder, "0001")
    assert (student["macro-F1, test"], student["labels only, test"]) == ("0.690", "0.650")
    assert student["gain of the teacher"] == "+0.040"
    assert front_row(folder, "0002")["gain of the teacher"] == "-0.010"
    assert front_row(folder, "teacher")["labels only, test"] == "–"
    assert "the gain is what the teacher adds" in text(folder)
    assert "the gain is what the teacher adds" in (folder.root / "report.html").read_text("utf-8")


@pytest.mark.parametrize(("share", "said"), [(0.25, True), (1.0, False)])
def test_a_baseline_that_takes_fewer_steps_without_the_unlabelled_texts_is_told_so(
    make_sweep: MakeSweep, share: float, said: bool
):
    folder = make_sweep(completed("0001", 0.7, 2), **ASKED)
    known = json.loads(folder.verification_json.read_text())
    folder.verification_json.write_text(json.dumps({**known, "labelled_share": share}))
    beside(folder, completed("0001", 0.66, 2))
    told = "It trains without the unlabelled texts, so with 25 % of the steps."
    assert (told in text(folder)) == said
    assert ("labelled_share" in read_summary(folder)) == said


def test_columns_of_the_baselines_are_filled_for_the_front_alone(make_sweep: MakeSweep):
    trials = [completed("0001", 0.7, 2), completed("0002", 0.6, 4), failed("0003")]
    folder = make_sweep(*trials, **ASKED)
    beside(folder, completed("0001", 0.66, 2), completed("0002", 0.5, 4))

    table = read_trials(folder).set_index("trial_id")

    assert table.loc["0001", "baseline_macro_f1"] == 0.66
    assert table["baseline_macro_f1"].notna().tolist() == [True, False, False]
    assert table["test_baseline_macro_f1"].notna().tolist() == [True, False, False]


def test_baselines_are_not_counted_as_trials(make_sweep: MakeSweep):
    folder = make_sweep(completed("0001", 0.7, 2), **ASKED)
    before = write_tables(folder, duration_s=1, busy_s=1)
    beside(folder, completed("0001", 0.9, 0.1))

    after = read_summary(folder)

    for name in ("trials", "front", "hypervolume"):
        assert after[name] == before[name]


def test_a_baseline_that_failed_is_told_with_its_reason(make_sweep: MakeSweep):
    folder = make_sweep(completed("0001", 0.7, 2), **ASKED)

    found = beside(folder, failed("0001"))

    assert found["0001"] == {"status": "failed", "stage": "distil", "error": "the loss is NaN"}
    assert "It failed for 0001 (distil: the loss is NaN)." in text(folder)
    assert "labels only" not in text(folder).split("## The front")[1].split("“Labels")[0]


@pytest.mark.parametrize(
    ("search", "reason"),
    [
        ({"time_budget_s": 60}, "search.time_budget_s was over, or the sweep was stopped before"),
        ({"time_budget_s": None}, "the sweep was stopped before it"),
    ],
)
def test_a_baseline_that_was_not_run_is_told(
    make_sweep: MakeSweep, search: dict[str, Any], reason: str
):
    folder = make_sweep(completed("0001", 0.7, 2), search=search, **ASKED)

    found = beside(folder)

    assert found["0001"]["status"] == "not_run"
    assert found["0001"]["reason"].startswith(reason)
    assert f"It was not run for 0001: {reason}" in text(folder)


@pytest.mark.parametrize("drawn", [True, False])
def test_a_student_without_a_teacher_is_its_own_baseline(make_sweep: MakeSweep, drawn: bool):
    trial = completed("0001", 0.7, 2)
    if drawn:
        trial.parameters["distillation.method"] = "none"  # type: ignore[index]
    method = {"choice": ["none", "logit"]} if drawn else "none"

    folder = make_sweep(trial, distillation={"method": method}, **ASKED)

    assert beside(folder) == {}
    assert "abels only" not in text(folder)


@pytest.mark.parametrize("evaluation", [{}, {"baselines": False}, {"thresholds": "fixed"}])
def test_a_sweep_that_asked_for_none_or_was_before_them_says_nothing(
    make_sweep: MakeSweep, evaluation: dict[str, Any]
):
    folder = make_sweep(completed("0001", 0.7, 2), evaluation=evaluation)

    assert beside(folder) == {}
    assert "baselines" not in read_summary(folder)
    assert "abels only" not in text(folder)


def test_without_test_metrics_both_are_of_validation(make_sweep: MakeSweep):
    trials = [completed("0001", 0.7, 2), completed("0001", 0.6, 2)]
    for trial in trials:
        del trial.metrics["test_macro_f1"]  # type: ignore[attr-defined]
    folder = make_sweep(trials[0], **ASKED)
    beside(folder, trials[1])

    row = front_row(folder, "0001")

    assert (row["labels only, validation"], row["gain of the teacher"]) == ("0.600", "+0.100")
