"""Label-only baselines of real sweeps, in real Ray processes."""

import io
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pytest
import ray
from rich.console import Console

from kdray.errors import ConfigError
from kdray.reporting.reading import read_summary, read_trials
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig
from kdray.sweep import baselines, beside, run
from kdray.sweep.baselines import twin
from kdray.sweep.opening import Launch
from kdray.sweep.run import Swept, run_sweep
from kdray.sweep.trainable import Shared, run_stored
from kdray.trial_folder import TrialSetup, load_setup
from tests.conftest import Tiny
from tests.tiny_sweep import tiny_config

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]

ALONE = {"distillation.method": "none"}
TAUGHT = {"distillation.method": "logit", "distillation.alpha": 0.5}
TIMINGS = ("latency", "teacher_latency", "speedup", "throughput")


def space(output: Path, name: str, *points: dict[str, Any], **search: Any) -> SweepConfig:
    return tiny_config(
        output,
        name=name,
        student={"layers": 1},
        pruning={"method": "magnitude", "ratio": 0.5},
        distillation={"method": {"choice": ["none", "logit"]}, "alpha": {"uniform": [0.1, 0.9]}},
        evaluation={"baselines": True},
        objectives={"size_mb": "minimize"},  # all of one size, and so all on the front
        search={"sampler": "none", "points": list(points), **search},
    )


def sweep(config: SweepConfig, output: Path, file: Any = None) -> tuple[Swept, SweepFolder]:
    folder = SweepFolder(output / config.name)
    console = Console(file=file or io.StringIO(), width=200)
    return run_sweep(config, folder, Launch(""), console), folder


def without_timings(metrics: Any) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if not name.startswith(TIMINGS)}


@pytest.fixture(scope="module")
def done(output: Path, cluster: None) -> tuple[Swept, SweepFolder, str]:
    """A sweep of two equal trials and one without a teacher, all of them on the front."""
    text = io.StringIO()
    swept, folder = sweep(space(output, "beside", TAUGHT, TAUGHT, ALONE), output, text)
    return swept, folder, text.getvalue()


def test_a_baseline_is_what_the_same_student_is_without_a_teacher(
    done: tuple[Swept, SweepFolder, str],
) -> None:
    folder = done[1]
    baseline, alone = folder.baselines.result("0000"), folder.result("0002")
    assert baseline is not None
    assert alone is not None
    assert baseline.status == "completed"
    assert without_timings(baseline.metrics) == without_timings(alone.metrics)
    taught = load_setup(folder, "0000").sections
    ours = load_setup(folder.baselines, "0000").sections
    assert ours["distillation"] == {"method": "none"}
    assert {**ours, "distillation": 0} == {**taught, "distillation": 0}


def test_trials_of_one_configuration_share_one_run(done: tuple[Swept, SweepFolder, str]) -> None:
    first, second = done[1].baselines.results()
    assert (first.trial_id, second.trial_id) == ("0000", "0001")
    assert first.duration_s == second.duration_s
    for trial_id in ("0000", "0001"):
        left = {path.name for path in done[1].baselines.trial(trial_id).iterdir()}
        assert left == {"config.yaml", "epochs.jsonl", "predictions.npz", "result.json"}


def test_baselines_are_no_trials_and_the_teacher_does_not_run_for_them(
    done: tuple[Swept, SweepFolder, str],
) -> None:
    swept, folder, _ = done
    assert swept.complete
    assert [result.trial_id for result in folder.results()] == ["0000", "0001", "0002"]
    assert swept.summary["trials"]["completed"] == 3
    reused = swept.summary["teacher_outputs"]["reused"]
    assert swept.summary["teacher_forward_examples"] == (0 if reused else 200)
    assert sum(result.teacher_forward_examples for result in folder.baselines.results()) == 0
    assert set(folder.students()) <= set(swept.summary["front"])
    assert not (folder.root / "checkpoints").exists()


def test_baselines_stand_beside_their_trials_in_tables_report_and_mlflow(
    done: tuple[Swept, SweepFolder, str], output: Path
) -> None:
    swept, folder, text = done
    beside = {i: folder.baselines.result(i) for i in ("0000", "0001")}
    assert list(swept.summary["baselines"]) == ["0000", "0001"]
    assert swept.summary["front"] == ["0000", "0001", "0002"]
    table = read_trials(folder).set_index("trial_id")
    client = mlflow.MlflowClient(f"sqlite:///{output / 'mlflow.db'}")
    for trial_id, result in beside.items():
        assert result is not None
        mine = {
            "baseline_macro_f1": result.metrics["macro_f1"],
            "test_baseline_macro_f1": result.metrics["test_macro_f1"],
        }
        assert swept.summary["baselines"][trial_id]["metrics"] == mine
        assert table.loc[trial_id, list(mine)].to_dict() == pytest.approx(mine)
        recorded = client.get_run(str(table.loc[trial_id, "mlflow_run_id"])).data.metrics
        assert {name: recorded[name] for name in mine} == mine
    assert table.loc["0002", ["baseline_macro_f1", "test_baseline_macro_f1"]].isna().all()
    assert "baselines: 2 students of the front once more, from labels alone" in text
    assert "baseline of trial 0000: macro_f1" in text
    for name in ("report.md", "report.html"):
        assert "gain of the teacher" in (folder.root / name).read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_resume_runs_no_baseline_that_is_on_disk(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = space(output, "again", TAUGHT, TAUGHT)
    _, folder = sweep(config, output)
    before = folder.baselines.result("0000")
    monkeypatch.setattr(beside, "_stored", _counted)
    folder.remove(folder.baselines.trial("0001"))
    swept, _ = sweep(config, output)
    # It is that of 0000 once more, which is there; nothing was run.
    assert not list(folder.root.glob("begun-*"))
    again = folder.baselines.result("0001")
    assert before is not None
    assert again is not None
    assert again.metrics == before.metrics
    assert list(swept.summary["baselines"]) == ["0000", "0001"]
    folder.remove(folder.root / "baselines")
    sweep(config, output)
    assert [path.name for path in folder.root.glob("begun-*")] == ["begun-0000"]


def test_a_baseline_that_fails_is_on_disk_with_its_reason_and_the_sweep_completes(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "_stored", _dying)
    config = space(output, "dying", TAUGHT, max_failures=1)
    swept, folder = sweep(config, output)
    assert swept.complete
    result = folder.baselines.result("0000")
    assert result is not None
    assert (result.status, result.metrics) == ("failed", {})
    assert len((folder.root / "begun-0000").read_text()) == 2
    assert swept.summary["baselines"]["0000"]["status"] == "failed"
    assert "It failed for 0000 (distil: " in (folder.root / "report.md").read_text("utf-8")
    sweep(config, output)
    assert len((folder.root / "begun-0000").read_text()) == 2


@pytest.mark.slow
def test_a_baseline_that_hangs_is_ended_by_the_trials_timeout(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "_stored", _hanging)
    changed(monkeypatch, trial_timeout_s=2.0)
    swept, folder = sweep(space(output, "hanging", TAUGHT), output)
    result = folder.baselines.result("0000")
    assert swept.complete
    assert result is not None
    assert result.error == "took longer than the 2 s of search.trial_timeout_s"


@pytest.mark.parametrize("left_s", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_time_budget_that_is_over_leaves_baselines_out_and_the_summary_says_so(
    output: Path, monkeypatch: pytest.MonkeyPatch, left_s: int
) -> None:
    monkeypatch.setattr(beside, "_stored", _hanging)
    changed(monkeypatch, earlier_s=1000 - left_s)
    swept, folder = sweep(space(output, f"late-{left_s}", TAUGHT, time_budget_s=1000), output)
    assert swept.complete
    assert folder.baselines.results() == []
    (baseline,) = swept.summary["baselines"].values()
    assert baseline["status"] == "not_run"
    assert baseline["reason"].startswith("search.time_budget_s was over")
    assert "It was not run for 0000: search.time" in (folder.root / "report.md").read_text("utf-8")


def changed(monkeypatch: pytest.MonkeyPatch, earlier_s: float = 0.0, **search: Any) -> None:
    """Lets the search have begun earlier, or have other options, for the baselines alone."""

    def run_baselines(config: SweepConfig, shared: Any, slot: Any, begun: float, say: Any) -> bool:
        config = replace(config, search=config.search.model_copy(update=search))
        return baselines.run_baselines(config, shared, slot, begun - earlier_s, say)

    monkeypatch.setattr(run, "run_baselines", run_baselines)


class _Interrupting(io.StringIO):
    """Ctrl-C, soon after baselines begin."""

    def write(self, text: str) -> int:
        if text.startswith("baselines:"):
            threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGINT)).start()
        return super().write(text)


@pytest.mark.slow
def test_ctrl_c_leaves_baselines_to_a_resume(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = space(output, "stopped", TAUGHT)
    with monkeypatch.context() as patched:
        patched.setattr(beside, "_stored", _hanging)
        swept, folder = sweep(config, output, _Interrupting())
    assert not swept.complete
    assert swept.summary["complete"] is False
    assert swept.summary["baselines"]["0000"]["status"] == "not_run"
    swept, _ = sweep(config, output)
    assert swept.complete
    assert swept.summary["complete"] is True
    assert swept.summary["baselines"]["0000"]["status"] == "completed"
    assert read_summary(folder) == swept.summary


def test_a_sweep_that_asks_for_no_baselines_has_none(swept: Tiny) -> None:
    assert "baselines" not in read_summary(swept.folder)
    assert not (swept.folder.root / "baselines").exists()


def test_a_twin_keeps_all_but_the_teacher() -> None:
    own = {"method": "logit", "alpha": 0.3, "temperature": 2.0, "class_weights": "balanced"}
    sections = {"student": {"layers": 1}, "distillation": own, "training": {"seed": 3}}
    drawn = {"student.layers": 1, "distillation.method": "logit", "distillation.alpha": 0.3}
    found = twin(TrialSetup("0004", sections, drawn, 2))
    assert found is not None
    assert (found.trial_id, found.threads) == ("0004", 2)
    assert found.sections == {
        **sections,
        "distillation": {"method": "none", "class_weights": "balanced"},
        "regime": {"name": "single"},
    }
    assert found.parameters == {"student.layers": 1, "distillation.method": "none"}
    assert own["alpha"] == 0.3


def test_a_trial_without_a_teacher_has_no_twin() -> None:
    assert twin(TrialSetup("0000", {"distillation": {"method": "none"}}, {}, 1)) is None


def test_the_option_is_true_or_false(tmp_path: Path) -> None:
    assert tiny_config(tmp_path, evaluation=None).evaluation.baselines
    with pytest.raises(ConfigError, match=r"evaluation\.baselines"):
        tiny_config(tmp_path, evaluation={"baselines": "often"})


def _begun(what: Callable[[TrialSetup, Shared], None]) -> Any:
    def task(setup: TrialSetup, shared: Shared) -> Iterator[None]:
        yield
        with (shared.folder.root / f"begun-{setup.trial_id}").open("a") as file:
            file.write("x")
        what(setup, shared)

    return ray.remote(task)


_counted = _begun(lambda setup, shared: run_stored(setup, shared, lambda report: None))
_dying = _begun(lambda setup, shared: os.kill(os.getpid(), signal.SIGKILL))
_hanging = _begun(lambda setup, shared: time.sleep(1000))
