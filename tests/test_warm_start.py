import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdray.errors import ConfigError
from kdray.loading import load_sweep_config
from kdray.locations import past_config
from kdray.results.folder import SweepFolder, write_trial
from kdray.results.records import TrialResult
from kdray.schema import SweepConfig
from kdray.warm_start import earlier_sweeps
from tests.tiny_sweep import tiny_config, write_space

METRICS = {"macro_f1": 0.5, "size_mb": 1.5, "accuracy": 0.6}
SECTIONS: dict[str, Any] = {
    "student": {"initial": "teacher_layers", "layers": 2, "weights": "float32"},
    "pruning": {"method": "magnitude", "ratio": 0.75},
    "distillation": {"method": "logit", "alpha": 0.25},
}


def leave_trial(
    folder: SweepFolder,
    config: SweepConfig,
    trial_id: str = "0000",
    metrics: Mapping[str, float] = METRICS,
    **changes: Any,
) -> None:
    """Leaves a trial as a sweep does: its result, and what it was made from."""
    sections = {"training": config.content["training"], **SECTIONS, **changes}
    text = yaml.safe_dump({"sections": sections, "parameters": {}, "threads": 1})
    status: Any = "completed" if metrics else "failed"
    result = TrialResult(trial_id, status, metrics=metrics)
    write_trial(folder, result, files={"config.yaml": lambda path: path.write_text(text)})


def leave_sweep(root: Path, **changes: Any) -> tuple[SweepFolder, SweepConfig]:
    """Leaves the folder of a sweep of the tiny space without a trial."""
    root.mkdir(parents=True)
    config, folder = tiny_config(root, **changes), SweepFolder(root)
    written = {"config": dict(config.content), "base": str(config.base)}
    folder.sweep_yaml.write_text(yaml.safe_dump(written))
    return folder, config


@pytest.fixture
def earlier(tmp_path: Path) -> tuple[SweepFolder, SweepConfig]:
    folder, config = leave_sweep(tmp_path / "a")
    leave_trial(folder, config)
    return folder, config


def warm(tmp_path: Path, *folders: str, **changes: Any) -> SweepConfig:
    search = {"warm_start": list(folders or ("a",)), **changes.pop("search", {})}
    return tiny_config(tmp_path, search=search, **changes)


def refused(tmp_path: Path, *folders: str, **changes: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        warm(tmp_path, *folders, **changes)
    return [str(problem) for problem in caught.value.problems]


def test_an_earlier_trial_of_the_same_space_is_learnt_from(tmp_path: Path, earlier: Any) -> None:
    folder, _ = earlier
    (sweep,) = earlier_sweeps(warm(tmp_path))
    (trial,) = sweep.trials
    assert (sweep.folder, sweep.left_out) == (folder.root, 0)
    assert trial.name == "a/0000"
    assert trial.metrics == METRICS
    assert trial.choices == {
        "student.layers": 2,
        "pruning.method": "magnitude",
        "pruning.ratio": 0.75,
        "distillation.method": "logit",
        "distillation.alpha": 0.25,
    }


def test_trials_that_failed_or_lack_an_objective_or_are_of_another_space_are_left_out(
    tmp_path: Path, earlier: Any
) -> None:
    folder, config = earlier
    leave_trial(folder, config, "0001", {})
    leave_trial(folder, config, "0002", {"macro_f1": 0.5})
    leave_trial(folder, config, "0003", METRICS | {"size_mb": float("nan")})
    leave_trial(folder, config, "0004", pruning={"method": "magnitude", "ratio": 0.25})
    leave_trial(folder, config, "0005", training=config.content["training"] | {"epochs": 9})
    leave_trial(folder, config, "0006", pruning={"method": "none"})
    (sweep,) = earlier_sweeps(warm(tmp_path))
    assert [trial.name for trial in sweep.trials] == ["a/0000", "a/0006"]
    assert sweep.left_out == 5


def test_a_space_may_have_grown_and_its_seed_and_cache_and_limit_may_have_changed(
    tmp_path: Path, earlier: Any
) -> None:
    config = warm(
        tmp_path,
        seed=7,
        teacher={"verify": {"minimum": 0.1}, "cache": {"where": "off"}},
        pruning={"ratio": {"uniform": [0.1, 0.9]}},
        training={"epochs": {"randint": [1, 5]}},
    )
    (sweep,) = earlier_sweeps(config)
    assert sweep.trials[0].choices["training.epochs"] == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": {"train_rows": 100}}, "data.train_rows is 200 there and 100 here"),
        (
            {"teacher": {"training": {"epochs": 2}}},
            "teacher.training.epochs is 1 there and 2 here",
        ),
        (
            {"evaluation": {"thresholds": "tuned"}},
            "evaluation.thresholds is 'fixed' there and 'tuned' here",
        ),
        (
            {"objectives": {"accuracy": "maximize"}},
            "the metric that selects the epoch is 'macro_f1' there and 'accuracy' here",
        ),
    ],
)
def test_metrics_that_cannot_be_compared_are_refused_with_both_values(
    tmp_path: Path, earlier: Any, changes: dict[str, Any], said: str
) -> None:
    (problem,) = refused(tmp_path, **changes)
    assert problem.startswith("line ")
    assert f"search.warm_start.0: {tmp_path / 'a'} cannot be learnt from, because {said}" in problem


def test_a_sweep_without_a_usable_trial_is_refused_with_the_nearest(
    tmp_path: Path, earlier: Any
) -> None:
    folder, config = earlier
    leave_trial(folder, config, "0001", student=SECTIONS["student"] | {"layers": 1})
    (problem,) = refused(
        tmp_path, student={"layers": 1}, pruning={"ratio": {"uniform": [0.1, 0.2]}}
    )
    assert problem.endswith(
        "search.warm_start.0: teaches nothing: no trial of "
        f"{folder.root} is of this space; in the nearest, 0001, pruning.ratio is 0.75 there, a "
        "number from 0.1 to 0.2 here"
    )


def test_a_sweep_whose_trials_failed_or_lack_an_objective_is_refused(tmp_path: Path) -> None:
    folder, config = leave_sweep(tmp_path / "a")
    leave_trial(folder, config, metrics={})
    assert refused(tmp_path)[0].endswith(f"teaches nothing: no trial of {folder.root} completed")
    leave_trial(folder, config, metrics={"macro_f1": 0.5})
    assert refused(tmp_path)[0].endswith(f"trial 0000 of {folder.root} has no size_mb")


def test_folders_that_are_no_sweeps_are_told_with_everything_else(
    tmp_path: Path, earlier: Any
) -> None:
    (tmp_path / "empty").mkdir()
    leave_sweep(tmp_path / "begun")
    found = refused(tmp_path, "a", "nowhere", "empty", "begun", "./a", training={"epochs": 0})
    keys = [problem.split(": ")[1] for problem in found]
    assert keys == [*(f"search.warm_start.{place}" for place in (1, 2, 3, 4)), "training.epochs"]
    assert f"no such folder: {tmp_path / 'nowhere'}" in found[0]
    assert "is no sweep with finished trials: it needs sweep.yaml and trials/" in found[1]
    assert "is no sweep with finished trials" in found[2]
    assert "stands twice; keep one of them" in found[3]


@pytest.mark.parametrize("sampler", ["grid", "none", "random"])
def test_a_sampler_that_learns_nothing_takes_no_warm_start(
    tmp_path: Path, earlier: Any, sampler: str
) -> None:
    problems = refused(tmp_path, search={"sampler": sampler})
    message = f"search.warm_start: teaches `sampler: {sampler}` nothing; take tpe, nsga2, gp"
    assert any(problem.endswith(message) for problem in problems)


def test_the_same_files_under_another_path_are_the_same_data(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,a\n")
    labels = {"source": "files", "labels": ["a"], "validation": None, "test": None}
    for key in ("train_rows", "validation_rows", "test_rows"):
        labels[key] = None
    folder, config = leave_sweep(tmp_path / "runs" / "a", data={**labels, "train": "../../x.csv"})
    leave_trial(folder, config)
    assert earlier_sweeps(warm(tmp_path, "runs/a", data={**labels, "train": "x.csv"}))
    (tmp_path / "y.csv").write_text("text,a\n")
    (problem,) = refused(tmp_path, "runs/a", data={**labels, "train": "y.csv"})
    assert f"data.train is '{tmp_path / 'x.csv'}' there and '{tmp_path / 'y.csv'}' here" in problem


def test_folders_on_the_command_line_start_from_the_current_folder(
    tmp_path: Path, earlier: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spaces").mkdir()
    path = write_space(tmp_path / "spaces")
    monkeypatch.chdir(tmp_path)
    config = load_sweep_config(path, ["search.warm_start=[a]"])
    assert config.search.warm_start == [str(tmp_path / "a")]


def test_a_sweep_that_has_begun_does_not_need_the_earlier_folders(
    tmp_path: Path, earlier: Any
) -> None:
    config = warm(tmp_path)
    begun = SweepFolder(tmp_path / "b")
    begun.root.mkdir()
    begun.sweep_yaml.write_text(
        yaml.safe_dump({"config": dict(config.content), "base": str(config.base)})
    )
    shutil.rmtree(earlier[0].root)
    assert past_config(begun).search.warm_start == ["a"]
