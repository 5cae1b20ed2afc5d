import re
from typing import Any

import pytest

from kdray.reporting.figures import pareto_figure
from kdray.reporting.headline import choose, sentence
from kdray.reporting.reading import read_summary, read_sweep, read_trials
from kdray.reporting.report import report_context, write_report
from kdray.reporting.stored import WEIGHTS, formats_said, stored_as, teachers
from kdray.reporting.summary import write_tables
from kdray.results.records import TrialResult

from .conftest import TEACHER, MakeSweep, completed

# Of the teacher's 8 MB in float32.
SIZES = {"float32": 8.0, "float16": 4.0, "int8": 2.0}


def stored(trial_id: str, macro_f1: float, share: float, weights: str) -> TrialResult:
    """A student of a share of the teacher's size, in a format that was drawn."""
    size = share * SIZES[weights]
    trial = completed(trial_id, macro_f1, size, teacher_size_mb=SIZES[weights], size_share=share)
    trial.parameters["student.weights"] = weights  # type: ignore[index]
    return trial


def context(make_sweep: MakeSweep, *trials: TrialResult, **config: Any) -> dict[str, Any]:
    folder = make_sweep(*trials, **config)
    write_tables(folder, duration_s=1, busy_s=1)
    return report_context(folder)


def cells(shown: dict[str, Any], column: str) -> list[str]:
    (index,) = (n for n, c in enumerate(shown["front"]["columns"]) if c["name"] == column)
    return [row["cells"][index] for row in shown["front"]["rows"]]


def test_a_student_in_int8_is_no_smaller_than_its_teacher_in_int8(make_sweep: MakeSweep):
    # Never pruned: as large as the teacher, in whatever format. 25 % would be the format's doing.
    shown = context(make_sweep, stored("0001", 0.76, 1.0, "int8"))

    assert shown["headline"] == (
        "0.750 macro-F1 on test at 2.0 MB in int8: 98.7 % of the teacher at 100 % of its size in "
        "int8, 2.4 times faster"
    )
    assert cells(shown, "of teacher's size") == ["100 %", "100 %"]
    assert cells(shown, "size (MB)") == ["2.0", "2.0"]
    assert cells(shown, "stored as") == ["int8", "int8"]


def test_the_teacher_stands_in_the_table_in_every_format_of_the_front(make_sweep: MakeSweep):
    trials = [stored("0001", 0.6, 0.5, "int8"), stored("0002", 0.7, 0.5, "float16")]

    shown = context(make_sweep, *trials, stored("0003", 0.76, 0.5, "float32"))

    formats = ["int8", "float16", "float32"]
    assert cells(shown, "trial") == ["teacher"] * 3 + ["0001", "0002", "0003"]
    assert cells(shown, "stored as") == formats * 2
    assert cells(shown, "size (MB)") == ["2.0", "4.0", "8.0", "1.0", "2.0", "4.0"]
    assert cells(shown, "of teacher's size") == ["100 %"] * 3 + ["50 %"] * 3


def test_a_smaller_format_alone_is_not_chosen_as_a_small_student():
    # 0.9 of the teacher in int8 is 1.8 MB of 8, and yet not at most half of its size.
    whole, pruned = stored("0001", 0.76, 0.9, "int8"), stored("0002", 0.6, 0.4, "float32")
    front = [{"trial_id": trial.trial_id, **trial.metrics} for trial in (whole, pruned)]

    assert choose(front, TEACHER, {"macro_f1": "maximize", "size_mb": "minimize"}) is front[1]


def test_sizes_stand_in_trials_csv_as_shares_of_the_teachers_in_the_same_format(
    make_sweep: MakeSweep,
):
    folder = make_sweep(stored("0001", 0.6, 0.5, "int8"), stored("0002", 0.7, 0.5, "float32"))
    write_tables(folder, duration_s=1, busy_s=1)
    table = read_trials(folder)

    assert table["size_share"].tolist() == [0.5, 0.5]
    assert (table["size_mb"] / table["teacher_size_mb"]).tolist() == [0.5, 0.5]


def test_the_report_says_how_int8_is_stored_and_computed(make_sweep: MakeSweep):
    folder = make_sweep(stored("0001", 0.6, 0.5, "int8"))
    write_tables(folder, duration_s=1, busy_s=1)
    write_report(folder)

    for name in ("report.html", "report.md"):
        text = (folder.root / name).read_text(encoding="utf-8")
        assert "a matrix has a float32 scale a row; a loaded student computes in float32" in text
        assert "in the same format" in text


def test_a_report_of_float32_alone_says_nothing_of_formats():
    rows = [{"status": "completed", WEIGHTS: "float32"}, {"status": "failed", WEIGHTS: "int8"}]

    assert formats_said(rows) == ""
    assert formats_said([]) == ""


@pytest.mark.parametrize(
    ("drawn", "student", "expected"),
    [
        ("int8", {"weights": {"choice": ["int8", "float32"]}}, "int8"),
        (None, {"weights": "float16"}, "float16"),
        (float("nan"), {"layers": 2}, "float32"),
        (None, {"choice": [{"layers": 1}]}, "float32"),
    ],
)
def test_the_format_is_the_drawn_one_the_fixed_one_or_the_default(
    drawn: Any, student: Any, expected: str
):
    assert stored_as({WEIGHTS: drawn}, {"student": student}) == expected


def test_a_sweep_that_did_not_measure_the_teacher_in_a_format_shows_it_in_float32():
    assert teachers([{WEIGHTS: "float32"}], TEACHER) == [{**TEACHER, WEIGHTS: "float32"}]


def test_the_figure_shows_the_teacher_in_the_formats_of_the_students(make_sweep: MakeSweep):
    folder = make_sweep(stored("0001", 0.6, 0.5, "int8"), stored("0002", 0.7, 0.5, "float32"))
    write_tables(folder, duration_s=1, busy_s=1)
    trials, objectives = read_trials(folder), read_sweep(folder)["config"]["objectives"]

    axes = pareto_figure(trials, read_summary(folder), objectives).axes[0]

    labels = axes.get_legend_handles_labels()[1]
    assert labels[-2:] == ["teacher: 0.770 at 2.0 MB in int8", "teacher: 0.770 at 8.0 MB"]


def test_the_format_of_a_student_that_the_file_fixes_is_named_too(make_sweep: MakeSweep):
    trial = completed("0001", 0.7, 1.0, teacher_size_mb=4.0)

    shown = context(make_sweep, trial, student={"layers": 2, "weights": "float16"})

    assert "at 1.0 MB in float16: " in shown["headline"]
    assert re.search(r"25 % of its size in float16", shown["headline"])
    assert "int8" not in shown["notes"]


def test_float32_is_not_named_in_the_headline():
    row = {"trial_id": "0001", WEIGHTS: "float32", **completed("0001", 0.7, 4).metrics}

    assert "float32" not in sentence(row, TEACHER, "macro_f1")
