from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from kdray.reporting.confidence import confidence
from kdray.reporting.report import read
from kdray.reporting.students import chosen_of, front_of
from kdray.reporting.summary import write_tables
from kdray.results.folder import SweepFolder, write_json

from .conftest import MakeSweep, completed


@pytest.fixture
def folder(make_sweep: MakeSweep) -> SweepFolder:
    made = make_sweep(completed("0001", 0.70, 1.9), completed("0002", 0.74, 3.1))
    write_tables(made, duration_s=1, busy_s=1)
    return made


def told(folder: SweepFolder, **trials: Sequence[float]) -> Mapping[str, Any]:
    runs = {
        trial_id.removeprefix("t"): [
            {"seed": n, "metrics": {"macro_f1": value, "test_macro_f1": value - 0.02}}
            for n, value in enumerate(values, 1)
        ]
        for trial_id, values in trials.items()
    }
    write_json(folder.confirmation_json, {"seeds": [1, 2, 3], "trials": runs})
    front = front_of([read(folder)])
    found = confidence(front, chosen_of(front))
    assert found is not None
    return found


def test_a_winner_that_is_confirmed_keeps_its_place(folder: SweepFolder):
    found = told(folder, t0001=[0.69, 0.70, 0.71], t0002=[0.73, 0.72, 0.74])

    assert found["says"] == (
        "Trial 0002 keeps its place: with 3 other seeds it is still the one to take, at 0.730 ± "
        "0.025 macro-F1 on validation (0.740 with the seed of the sweep)."
    )
    cells = [row["cells"] for row in found["table"]["rows"]]
    assert cells[1] == ["0002", "0.740", "0.730 ± 0.025", "0.710 ± 0.025", "–", "3", "yes"]
    assert [row["kind"] for row in found["table"]["rows"]] == ["", "chosen"]


def test_a_lucky_winner_loses_its_place(folder: SweepFolder):
    found = told(folder, t0001=[0.70, 0.71, 0.72], t0002=[0.66, 0.67, 0.68])

    assert "Trial 0002 loses its place" in found["says"]
    assert "trial 0001 would be taken, with 0.710 ± 0.025" in found["says"]
    assert found["says"].endswith("The two intervals overlap: seeds alone may decide.")
    assert [row["cells"][-1] for row in found["table"]["rows"]] == ["yes", "no"]


def test_intervals_that_do_not_overlap_are_told(folder: SweepFolder):
    found = told(folder, t0001=[0.70, 0.701, 0.702], t0002=[0.66, 0.661, 0.662])

    assert found["says"].endswith("The two intervals do not overlap.")


def test_a_winner_that_was_not_trained_again_is_not_confirmed(folder: SweepFolder):
    found = told(folder, t0001=[0.70], t0002=[])

    assert found["says"] == "Trial 0002 was not trained again, so its place is not confirmed."
    assert found["table"]["rows"][0]["cells"][2] == "0.700"


def test_without_other_seeds_there_is_no_section(folder: SweepFolder):
    front = front_of([read(folder)])

    assert confidence(front, chosen_of(front)) is None
    assert confidence([], None) is None
