from typing import Any

from kdray.reporting.front_tables import front_tables
from kdray.reporting.report import report_context
from kdray.reporting.summary import write_tables

from .conftest import MakeSweep, completed


def shown(make_sweep: MakeSweep, *drawn: dict[str, Any]) -> dict[str, Any]:
    trials = [completed(f"000{n}", 0.6 + n / 100, 1.0 + n) for n in range(len(drawn))]
    for trial, parameters in zip(trials, drawn, strict=True):
        trial.parameters.update(parameters)  # type: ignore[attr-defined]
    folder = make_sweep(*trials)
    write_tables(folder, duration_s=1.0, busy_s=1.0)
    return front_tables(report_context(folder)["front"])


def heads(table: dict[str, Any]) -> list[str]:
    return [column["name"] for column in table["columns"]]


def test_what_differs_is_in_the_table_and_what_is_alike_is_said_once(make_sweep: MakeSweep):
    found = shown(make_sweep, {"student.layers": 1}, {"training.learning_rate": 0.001})

    assert heads(found["made"]) == ["trial", "layers", "learning rate"]
    assert [row["cells"] for row in found["made"]["rows"]] == [
        ["0000", "1", "0.0004"],
        ["0001", "2", "0.001"],
    ]
    assert found["alike"] == (
        "Alike in all of them: stored as float32, pruning magnitude, ratio 0.413, "
        "distillation logit, alpha 0.7, temperature 4."
    )


def test_quality_and_cost_stay_also_where_they_are_alike(make_sweep: MakeSweep):
    found = shown(make_sweep, {}, {})

    assert "speed-up" in heads(found["reached"])
    assert [row["kind"] for row in found["reached"]["rows"]] == ["teacher", "", "chosen"]
    assert found["made"] is None


def test_number_formats_that_differ_stand_beside_the_sizes(make_sweep: MakeSweep):
    found = shown(make_sweep, {"student.weights": "int8"}, {"student.weights": "float32"})

    assert heads(found["reached"])[-1] == "stored as"
    assert [row["cells"][-1] for row in found["reached"]["rows"]][-2:] == ["int8", "float32"]


def test_one_student_is_not_alike_to_itself(make_sweep: MakeSweep):
    found = shown(make_sweep, {})

    assert "pruning" in heads(found["made"])
    assert found["alike"] == ""


def test_a_short_name_that_two_would_have_is_not_used(make_sweep: MakeSweep):
    stages: list[dict[str, Any]] = [
        {"pruning.0.ratio": 0.5, "pruning.1.ratio": 0.2},
        {"pruning.0.ratio": 0.4, "pruning.1.ratio": 0.3},
    ]

    assert heads(shown(make_sweep, *stages)["made"]) == [
        "trial",
        "pruning.0.ratio",
        "pruning.1.ratio",
    ]
