import json
import subprocess
import sys

import pytest

from kdray.errors import ConfigError
from kdray.reporting.best import Constraints, best_student
from kdray.reporting.reading import read_trials
from kdray.reporting.summary import front_ids, write_tables
from kdray.results.folder import SweepFolder

from .conftest import MakeSweep, completed, failed, stopped

OBJECTIVES = {"macro_f1": "maximize", "size_mb": "minimize"}


def tables(folder: SweepFolder) -> dict[str, object]:
    return write_tables(folder, duration_s=60.0, busy_s=90.0, run_ids={"0001": "0123456789"})


def test_front_holds_the_best_trade_offs_with_the_smallest_first():
    trials = [completed("0001", 0.7, 4), completed("0002", 0.6, 2), completed("0003", 0.6, 3)]

    assert front_ids(trials, OBJECTIVES) == ["0002", "0001"]


def test_front_is_decided_on_validation():
    trials = [completed("0001", 0.7, 4, test_macro_f1=0.1), completed("0002", 0.6, 4)]

    assert front_ids(trials, OBJECTIVES) == ["0001"]


def test_only_completed_trials_can_be_on_the_front():
    trials = [completed("0001", 0.5, 4), stopped("0002", 0.9, 1), failed("0003")]

    assert front_ids(trials, OBJECTIVES) == ["0001"]


def test_trial_without_a_value_for_an_objective_is_not_on_the_front():
    trials = [completed("0001", float("nan"), 1), completed("0002", 0.5, 4)]

    assert front_ids(trials, OBJECTIVES) == ["0002"]
    assert front_ids(trials, {**OBJECTIVES, "throughput": "maximize"}) == []


def test_equal_trials_are_on_the_front_in_the_order_of_their_ids():
    trials = [completed("0002", 0.5, 4), completed("0001", 0.5, 4)]

    assert front_ids(trials, OBJECTIVES) == ["0001", "0002"]


def test_infeasible_trial_is_not_on_the_front_and_counts_for_no_hypervolume(make_sweep: MakeSweep):
    # 0001 dominates 0002, but takes 2 ms.
    trials = [completed("0001", 0.76, 3), completed("0002", 0.54, 4, latency_ms=1.5)]
    constraints = {"latency_ms": {"maximum": 1.5}}

    assert front_ids(trials, OBJECTIVES, constraints) == ["0002"]
    summary = tables(make_sweep(*trials, constraints=constraints))
    assert summary["front"] == ["0002"]
    assert summary["feasible"] == ["0002"]
    assert "nearest" not in summary
    assert summary["hypervolume"] == pytest.approx(0.25)


def test_sweep_without_a_feasible_trial_names_the_nearest(make_sweep: MakeSweep):
    # 3 MB are half of 2 MB too many, 4 MB twice that; a macro-F1 of 0.6 is a quarter short of 0.8.
    trials = [completed("0001", 0.8, 4), completed("0002", 0.8, 3), completed("0003", 0.6, 3)]
    bounds = {"size_mb": {"maximum": 2.0}, "macro_f1": {"minimum": 0.8}}

    summary = tables(make_sweep(*trials, failed("0004"), constraints=bounds))

    assert (summary["front"], summary["feasible"]) == ([], [])
    assert summary["nearest"] == "0002"
    assert summary["hypervolume"] == 0.0


def test_feasible_column_is_there_with_constraints_and_filled_for_completed_trials(
    make_sweep: MakeSweep,
):
    trials = [completed("0001", 0.5, 4), completed("0002", 0.5, 1), failed("0003")]
    folder = make_sweep(*trials, stopped("0004", 0.5, 1), constraints={"size_mb": {"maximum": 2}})
    tables(folder)

    table = read_trials(folder)

    assert table.columns[12] == "feasible"
    assert table["feasible"].tolist()[:2] == [False, True]
    assert table["feasible"].isna().tolist() == [False, False, True, True]


def test_front_without_a_minimised_objective_is_sorted_by_the_second():
    trials = [completed("0001", 0.6, 1, accuracy=0.5), completed("0002", 0.5, 1, accuracy=0.6)]

    assert front_ids(trials, {"accuracy": "maximize", "macro_f1": "maximize"}) == ["0002", "0001"]


def test_front_of_one_objective_is_its_best_trial():
    trials = [completed("0001", 0.6, 1), completed("0002", 0.7, 2)]

    assert front_ids(trials, {"macro_f1": "maximize"}) == ["0002"]


def test_summary_has_what_the_design_says(make_sweep: MakeSweep):
    folder = make_sweep(completed("0001", 0.54, 4), stopped("0002", 0.9, 1), failed("0003"))

    summary = tables(folder)

    # (8 - 4) * (.54 - .31) of the box 8 * (.77 - .31).
    assert summary.pop("hypervolume") == pytest.approx(0.25)
    teacher = summary.pop("teacher")
    assert teacher["test_macro_f1"] == 0.76  # type: ignore[index]
    assert summary == {
        "name": "demo",
        "trials": {"completed": 1, "stopped_early": 1, "failed": 1},
        "reference_point": {"macro_f1": 0.31, "size_mb": 8.0},
        "front": ["0001"],
        "knee": "0001",
        "teacher_forward_examples": 3000,
        "teacher_outputs": {"memory_mb": 1.5, "disk_mb": 0.0, "in_loop": [], "reused": False},
        "duration_s": 60.0,
        "busy_s": 90.0,
    }


def test_summary_on_disk_is_the_one_that_is_returned(make_sweep: MakeSweep):
    folder = make_sweep(completed("0001", 0.54, 4))

    assert tables(folder) == json.loads(folder.summary_json.read_text(encoding="utf-8"))


def test_sweep_without_a_completed_trial_has_an_empty_front(make_sweep: MakeSweep):
    summary = tables(make_sweep(failed("0001"), stopped("0002", 0.6, 1)))

    assert summary["front"] == []
    assert "knee" not in summary
    assert summary["hypervolume"] == 0.0


def test_the_knee_is_what_best_takes_without_constraints(make_sweep: MakeSweep):
    trials = [completed("0001", 0.5, 1), completed("0002", 0.7, 2), completed("0003", 0.75, 6)]
    folder = make_sweep(*trials)

    assert tables(folder)["knee"] == best_student(folder, Constraints())["trial_id"] == "0002"


def test_sweep_without_any_trial_has_tables_too(make_sweep: MakeSweep):
    folder = make_sweep()

    assert tables(folder)["front"] == []
    assert read_trials(folder).empty


def test_columns_are_the_fixed_ones_then_parameters_then_metrics(make_sweep: MakeSweep):
    folder = make_sweep(completed("0001", 0.5, 4, f1_spam=0.3, accuracy=0.4))
    tables(folder)

    header = folder.trials_csv.read_text(encoding="utf-8").splitlines()[0].split(",")

    assert header == [
        *["trial_id", "status", "stage", "error", "epochs", "duration_s", "ended_at"],
        *["prune_s", "distil_s", "evaluate_s", "on_front", "mlflow_run_id"],
        *["distillation.alpha", "pruning.method", "pruning.ratio"],
        *["student.layers", "training.learning_rate", "macro_f1", "size_mb", "accuracy"],
        *["num_parameters", "latency_ms", "speedup", "f1_spam", "test_macro_f1"],
    ]


def test_ids_are_read_back_as_text(make_sweep: MakeSweep):
    folder = make_sweep(completed("0001", 0.5, 4), completed("0002", 0.5, 4))
    tables(folder)

    trials = read_trials(folder)

    assert trials["trial_id"].tolist() == ["0001", "0002"]
    assert trials["mlflow_run_id"][0] == "0123456789"
    assert trials["mlflow_run_id"].isna().tolist() == [False, True]


def test_row_of_a_failed_trial_has_empty_metrics(make_sweep: MakeSweep):
    folder = make_sweep(completed("0001", 0.5, 4), failed("0002", 'no "luck", at all'))
    tables(folder)

    row = read_trials(folder).set_index("trial_id").loc["0002"]

    assert row[["macro_f1", "size_mb", "test_macro_f1", "pruning.ratio"]].isna().all()
    assert row["error"] == 'no "luck", at all'
    assert row["student.layers"] == 1
    assert not row["on_front"]


def test_integers_stay_integers_beside_an_empty_cell(make_sweep: MakeSweep):
    folder = make_sweep(completed("0001", 0.5, 4), failed("0002"))
    tables(folder)

    assert ",1000000," in folder.trials_csv.read_text(encoding="utf-8")


def test_a_parameter_called_none_is_read_back_as_it_is(make_sweep: MakeSweep):
    trial = completed("0001", 0.5, 4)
    trial.parameters["pruning.method"] = "None"  # type: ignore[index]
    folder = make_sweep(trial)
    tables(folder)

    assert read_trials(folder)["pruning.method"].tolist() == ["None"]


def test_writing_twice_gives_the_same_bytes(make_sweep: MakeSweep):
    folder = make_sweep(completed("0001", 0.5, 4), stopped("0002", 0.4, 3), failed("0003"))
    tables(folder)
    first = folder.trials_csv.read_bytes()
    tables(folder)

    assert folder.trials_csv.read_bytes() == first


def test_folder_that_is_no_sweep_is_told_by_the_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"sweep.yaml: no such file"):
        tables(SweepFolder(tmp_path))


def test_a_sweep_that_asks_for_its_front_loads_no_heavy_library():
    code = "import sys, kdray.reporting.summary; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not {"pandas", "matplotlib", "jinja2", "torch", "ray"} & set(done.stdout.split())
