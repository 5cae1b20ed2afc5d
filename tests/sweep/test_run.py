"""Sweeps in real Ray processes, with a real Optuna journal and a real MLflow store."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
import pytest
from optuna.trial import TrialState
from rich.console import Console

from kdray.errors import ConfigError, SweepError, TeacherError
from kdray.models.student import load_student
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig
from kdray.sweep.opening import Launch
from kdray.sweep.run import run_sweep
from kdray.sweep.search import open_study
from tests.conftest import Tiny
from tests.tiny_sweep import ONE_BY_ONE, tiny_config

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]


def states(config: SweepConfig, folder: SweepFolder) -> list[TrialState]:
    return [trial.state for trial in open_study(config, folder, 0).get_trials()]


def runs(output: Path, name: str) -> list[Any]:
    client = mlflow.MlflowClient(f"sqlite:///{output / 'mlflow.db'}")
    return list(client.search_runs([client.get_experiment_by_name(name).experiment_id]))


def test_a_sweep_leaves_every_file_that_it_promises(swept: Tiny) -> None:
    folder = swept.folder
    names = {"sweep.yaml", "trials.csv", "summary.json", "report.html", "report.md", "pareto.png"}
    assert names <= {path.name for path in folder.root.iterdir()}
    for result in folder.results():
        left = {path.name for path in folder.trial(result.trial_id).iterdir()}
        assert left == {"config.yaml", "epochs.jsonl", "predictions.npz", "result.json"}


def test_ray_optuna_and_mlflow_agree_on_how_every_trial_ended(swept: Tiny) -> None:
    config, folder = swept.config, swept.folder
    assert [result.status for result in folder.results()] == ["completed"] * 3
    assert states(config, folder) == [TrialState.COMPLETE] * 3
    found = runs(folder.root.parent, "tiny")
    assert len(found) == 4
    assert {run.info.status for run in found} == {"FINISHED"}


def test_the_teacher_reads_the_training_set_once_whatever_the_number_of_trials(swept: Tiny) -> None:
    summary = json.loads(swept.folder.summary_json.read_text())
    reused = summary["teacher_outputs"]["reused"]
    assert summary["teacher_forward_examples"] == (0 if reused else 200)


def test_only_students_of_the_front_are_kept_and_each_is_as_large_as_it_says(swept: Tiny) -> None:
    folder = swept.folder
    front = json.loads(folder.summary_json.read_text())["front"]
    assert sorted(path.name for path in (folder.root / "students").iterdir()) == sorted(front)
    for trial_id in front:
        weights = next(folder.student(trial_id).glob("*.safetensors"))
        result = folder.result(trial_id)
        assert result is not None
        assert result.metrics["size_mb"] == weights.stat().st_size / 1e6
        assert load_student(folder.student(trial_id)).probabilities(["a text"]).shape == (1, 5)


def test_every_trial_is_told_in_a_plain_line_when_the_output_is_no_terminal(swept: Tiny) -> None:
    lines = [line for line in swept.text.splitlines() if line.startswith("[")]
    assert len(lines) == 3
    assert "[3/3] trial" in lines[-1]
    assert "hypervolume" in lines[-1]


def test_a_sweep_goes_on_after_its_time_budget_and_with_more_trials_and_does_nothing_twice(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def longer(**search: Any) -> SweepConfig:
        return tiny_config(output, name="longer", training={"epochs": 20}, search=search)

    folder, hasty = SweepFolder(output / "longer"), longer(trials=2, time_budget_s=0.5)
    with pytest.raises(SweepError, match=r"time_budget_s ended before any trial did.*resume"):
        run_sweep(hasty, folder, Launch(""), Console(file=io.StringIO()))
    assert "Last result" not in capsys.readouterr().out, "it is not for Ray to tell of a trial"
    assert TrialState.RUNNING not in states(hasty, folder)
    assert "RUNNING" not in {run.info.status for run in runs(output, "longer")}
    teacher = folder.verification_json.stat().st_mtime_ns

    swept = run_sweep(longer(trials=2), folder, Launch(""), Console(file=io.StringIO()))
    assert swept.complete
    before = {r.trial_id: folder.trial(r.trial_id).stat().st_mtime_ns for r in folder.results()}
    assert len(before) == 2
    done = run_sweep(longer(trials=4), folder, Launch(""), Console(file=io.StringIO()))
    nothing = run_sweep(longer(trials=4), folder, Launch(""), Console(file=io.StringIO()))
    assert nothing.summary["duration_s"] == done.summary["duration_s"]
    assert [result.trial_id for result in folder.results()] == ["0000", "0001", "0002", "0003"]
    assert all(folder.trial(i).stat().st_mtime_ns == time for i, time in before.items())
    assert folder.verification_json.stat().st_mtime_ns == teacher
    assert len(runs(output, "longer")) == 5


@pytest.mark.slow
def test_a_sweep_of_a_grid_ends_with_its_last_combination(output: Path) -> None:
    # The other samplers have no end of their own; test_constraints shows what they draw.
    grid = {"pruning": {"method": "none", "ratio": None}, "distillation": {"alpha": 0.5}}
    config = tiny_config(output, name="grid", search={"sampler": "grid", "trials": 9}, **grid)
    folder = SweepFolder(output / "grid")
    swept = run_sweep(config, folder, Launch(""), Console(file=io.StringIO()))
    assert swept.complete
    assert swept.summary["trials"]["completed"] == 4
    assert states(config, folder) == [TrialState.COMPLETE] * 4


def test_a_trial_that_diverges_is_failed_with_its_stage_and_the_sweep_goes_on(
    output: Path,
) -> None:
    points = [{"training.gradient_clip": clip} for clip in (1e30, 1.0)]
    config = tiny_config(
        output,
        name="diverging",
        student={"layers": 1},
        pruning=None,
        distillation={"method": "logit", "alpha": 0.5, "temperature": 1e38},
        training={"gradient_clip": {"choice": [1.0, 1e30]}},
        search={"sampler": "none", "points": points},
    )
    folder = SweepFolder(output / "diverging")
    with pytest.raises(SweepError, match="every trial failed"):
        run_sweep(config, folder, Launch(""), Console(file=io.StringIO()))
    results = folder.results()
    assert [(r.status, r.stage) for r in results] == [("failed", "distil")] * 2
    assert "finite" in (results[0].error or "")
    assert all(result.duration_s > 0 for result in results)
    assert states(config, folder) == [TrialState.FAIL] * 2
    assert {run.info.status for run in runs(output, "diverging")} == {"FINISHED", "FAILED"}


def test_a_teacher_below_its_minimum_ends_the_sweep_and_nothing_is_written(
    output: Path,
) -> None:
    config = tiny_config(output, name="weak", teacher={"verify": {"minimum": 0.99}})
    folder = SweepFolder(output / "weak")
    with pytest.raises(TeacherError, match=r"teacher\.verify\.minimum"):
        run_sweep(config, folder, Launch(""), Console(file=io.StringIO()))
    assert not folder.root.exists()


def test_data_that_are_wrong_end_the_sweep_before_ray_and_nothing_is_written(
    output: Path,
) -> None:
    (output / "train.csv").write_text("text,a\nx,1\ny,0\n")
    data = {"source": "files", "train": "train.csv", "labels": ["b"]}
    config = tiny_config(output, name="wrong", data={**data, **dict.fromkeys(ROWS)})
    folder = SweepFolder(output / "wrong")
    with pytest.raises(ConfigError, match=r"no column 'b'"):
        run_sweep(config, folder, Launch(""), Console(file=io.StringIO()))
    assert not folder.root.exists()


ROWS = ("train_rows", "validation_rows", "test_rows")


@pytest.mark.slow
def test_the_same_seed_gives_the_same_trials_and_the_same_results(
    output: Path, swept: Tiny
) -> None:
    again = SweepFolder(output / "seeded-again")
    config = tiny_config(output, name=again.name, resources=ONE_BY_ONE)
    run_sweep(config, again, Launch(""), Console(file=io.StringIO()))
    first, second = (
        [(r.parameters, without_timings(r.metrics)) for r in folder.results()]
        for folder in (swept.folder, again)
    )
    assert first == second


def without_timings(metrics: Mapping[str, float]) -> dict[str, float]:
    timings = ("latency_ms", "latency_p95_ms", "teacher_latency_ms", "speedup", "throughput")
    return {name: value for name, value in metrics.items() if name not in timings}
