import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from kdray.reporting.confidence import confidence, other_seeds_said
from kdray.reporting.confirmation import Judged, verdict
from kdray.reporting.report import joint_context, read, report_context
from kdray.reporting.students import chosen_of, front_of
from kdray.reporting.summary import write_tables
from kdray.results.folder import SweepFolder, write_json

from .conftest import MakeSweep, completed

# The knee, and the best of at most half the teacher's 8 MB.
KNEE, HEADLINE = completed("0001", 0.70, 1.9), completed("0002", 0.74, 3.1)
SMALL = completed("0000", 0.30, 1.8)
FRONT = [SMALL, KNEE, HEADLINE]


@pytest.fixture
def folder(make_sweep: MakeSweep) -> SweepFolder:
    return finished(make_sweep)


def finished(make_sweep: MakeSweep, **config: Any) -> SweepFolder:
    made = make_sweep(*FRONT, **config)
    write_tables(made, duration_s=1, busy_s=1)
    return made


def again(folder: SweepFolder, **trials: Sequence[float]) -> dict[str, list[dict[str, Any]]]:
    """Writes what other seeds reached, in a metric; sizes stay as they are."""
    own = {one.trial_id: one.metrics for one in FRONT}
    runs = {
        trial_id: [
            {
                "seed": n,
                "metrics": {**own[trial_id], "macro_f1": value, "test_macro_f1": value - 0.02},
            }
            for n, value in enumerate(values, 1)
        ]
        for trial_id, values in ((name.removeprefix("t"), it) for name, it in trials.items())
    }
    write_json(folder.confirmation_json, {"seeds": [1, 2, 3], "trials": runs})
    return runs


def told(folder: SweepFolder, **trials: Sequence[float]) -> Mapping[str, Any]:
    again(folder, **trials)
    found = confidence(front_of([read(folder)]))
    assert found is not None
    return found


def test_a_knee_that_moves_is_told_of_in_headline_and_student(folder: SweepFolder):
    again(folder, t0000=[0.3, 0.3], t0001=[0.31, 0.31], t0002=[0.73, 0.73])
    moved = "With other seeds the knee of the front is 0002, not 0001"
    assert report_context(folder)["headline"].endswith(f". {moved}")
    student = next(it for it in front_of([read(folder)]) if it.id == "0001")
    assert other_seeds_said(student) == (
        "With 2 other seeds its macro-F1 is 0.310 on validation, and 0.290 on test. " + moved + "."
    )


def test_a_knee_that_stays_and_a_student_without_other_seeds_say_nothing_of_it(
    folder: SweepFolder,
):
    again(folder, t0000=[0.3, 0.3], t0001=[0.70, 0.70], t0002=[0.74, 0.74])
    assert "other seeds" not in report_context(folder)["headline"]
    folder.confirmation_json.unlink()
    assert other_seeds_said(front_of([read(folder)])[0]) == ""


def test_the_knee_is_judged_in_the_words_of_the_terminal_and_not_the_headlines_student(
    folder: SweepFolder,
):
    values = {"t0000": [0.3, 0.3], "t0001": [0.69, 0.70, 0.71], "t0002": [0.73, 0.72, 0.74]}
    chosen = chosen_of(front_of([read(folder)]))
    assert chosen is not None
    assert chosen.id == "0002"

    found = told(folder, **values)

    objectives: Any = {"macro_f1": "maximize", "size_mb": "minimize"}
    terminal = verdict(Judged(FRONT, objectives, {}, "macro_f1"), again(folder, **values))
    assert found["says"] == terminal.said
    assert found["says"].startswith("Trial 0001, the knee of the front, keeps its place.")
    cells = [row["cells"] for row in found["table"]["rows"]]
    assert cells[1] == ["0001", "0.700", "0.700 ± 0.025", "0.680 ± 0.025", "1.9", "3", "yes"]
    assert [row["kind"] for row in found["table"]["rows"]] == ["", "chosen", ""]


def test_a_lucky_knee_loses_its_place(folder: SweepFolder):
    found = told(folder, t0000=[0.4, 0.4], t0001=[0.31, 0.32], t0002=[0.73, 0.74])

    assert "0001, the knee of the front, loses its place" in found["says"]
    assert [row["cells"][-1] for row in found["table"]["rows"]] == ["yes", "no", "yes"]


def test_means_outside_the_constraints_are_not_on_the_front(make_sweep: MakeSweep):
    folder = finished(make_sweep, constraints={"macro_f1": {"minimum": 0.3}})

    found = told(folder, t0000=[0.29, 0.28], t0001=[0.7, 0.7], t0002=[0.73, 0.74])

    assert [row["cells"][-1] for row in found["table"]["rows"]] == ["no", "yes", "yes"]
    assert "but the knee is then 0002" in found["says"]


def test_one_run_has_no_interval_and_tells_nothing_of_luck(folder: SweepFolder):
    found = told(folder, t0000=[0.3, 0.3], t0001=[0.68], t0002=[0.73, 0.74])

    assert found["says"].endswith(
        "is 0.680 with other seeds: what of it was luck is not known. Of 0001 only one run "
        "completed: too few for an interval."
    )


def test_a_front_that_was_not_all_trained_again_is_not_confirmed(folder: SweepFolder):
    found = told(folder, t0001=[0.70, 0.71], t0002=[])

    assert found["says"] == (
        "Trial 0001, the knee of the front, is not confirmed, as 0000, 0002 were not trained "
        "again: go on with `kdray confirm`."
    )
    assert [row["cells"][-1] for row in found["table"]["rows"]] == ["–", "yes", "–"]


def test_without_other_seeds_there_is_no_section(folder: SweepFolder):
    assert confidence(front_of([read(folder)])) is None
    assert confidence([]) is None


def test_the_report_says_who_is_taken_without_bounds(folder: SweepFolder):
    found = report_context(folder)

    assert found["picked"]["id"] == "0002"
    assert found["knees"] == "0001"


def test_of_several_sweeps_each_own_knee_is_judged(folder: SweepFolder):
    other = SweepFolder(folder.root.with_name("other"))
    folder.root.rename(other.root)
    write_tables(other, duration_s=1, busy_s=1)
    again(other, t0000=[0.3, 0.3], t0001=[0.7, 0.7], t0002=[0.73, 0.74])
    twin = SweepFolder(folder.root)
    shutil.copytree(other.root, twin.root)

    found = joint_context([twin, other])

    assert found["knees"] == "demo/0001, other/0001"
    assert found["confidence"]["says"].startswith("demo: Trial 0001, the knee of the front, keeps")
    assert " other: Trial 0001, the knee of the front, keeps" in found["confidence"]["says"]
    marked = [row["cells"][0] for row in found["confidence"]["table"]["rows"] if row["kind"]]
    assert marked == ["demo/0001", "other/0001"]
