"""What Optuna is told of constraints, and what it makes of it."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from rich.console import Console

from kdray.commands.sweeps import show_end
from kdray.locations import past_config
from kdray.results.folder import SweepFolder, write_trial
from kdray.results.records import TrialResult
from kdray.schema import SweepConfig
from kdray.sweep.opening import Launch
from kdray.sweep.reconciling import mark_cut_off
from kdray.sweep.run import run_sweep
from kdray.sweep.search import StudySearch, begin, open_study
from tests.tiny_sweep import tiny_config

BOUNDS = {"size_mb": {"maximum": 2.0}, "macro_f1": {"minimum": 0.8}}
STUDENT_ONLY = {
    "student": {"layers": {"randint": [1, 3]}},
    "pruning": None,
    "distillation": {"method": "logit", "alpha": {"uniform": [0.0, 1.0]}},
}


def searcher(config: SweepConfig, folder: SweepFolder) -> StudySearch:
    folder.root.mkdir(parents=True, exist_ok=True)
    study = open_study(config, folder, config.seed)
    begin(study, config, folder)
    return StudySearch(study, config, folder)


def finish(
    folder: SweepFolder, trial_id: str, metrics: Mapping[str, float], status: Any = "completed"
) -> None:
    write_trial(folder, TrialResult(trial_id, status, metrics=metrics))


def trials(search: StudySearch) -> list[optuna.trial.FrozenTrial]:
    return search._ot_study.get_trials()


def test_a_completed_trial_is_told_with_how_far_it_is_from_every_bound(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path / "s")
    search = searcher(tiny_config(tmp_path, constraints=BOUNDS), folder)
    for index, (quality, size) in enumerate([(0.9, 3.0), (0.8, 2.0)]):
        own_id = search.suggest(str(index))["trial_id"]
        finish(folder, own_id, {"macro_f1": quality, "size_mb": size})
        search.on_trial_complete(str(index))
    assert trials(search)[0].constraints == {
        "size_mb.maximum": pytest.approx(0.5),
        "macro_f1.minimum": pytest.approx(-0.125),
    }
    # The first is better in quality, but outside; alone on Optuna's front is the second.
    assert [trial.number for trial in search._ot_study.best_trials] == [1]


def test_a_metric_that_was_not_measured_makes_a_completed_trial_infeasible(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path / "s")
    config = tiny_config(tmp_path, constraints={"auroc": {"minimum": 0.5}})
    search = searcher(config, folder)
    finish(folder, search.suggest("ray")["trial_id"], {"macro_f1": 0.9, "size_mb": 1.0})
    search.on_trial_complete("ray")
    assert trials(search)[0].constraints == {"auroc.minimum": 1.0}
    assert search._ot_study.best_trials == []


def test_a_trial_without_constraints_or_without_a_result_has_none(tmp_path: Path) -> None:
    free, folder = SweepFolder(tmp_path / "free"), SweepFolder(tmp_path / "s")
    search = searcher(tiny_config(tmp_path), free)
    finish(free, search.suggest("ray")["trial_id"], {"macro_f1": 0.9, "size_mb": 1.0})
    search.on_trial_complete("ray")
    constrained = searcher(tiny_config(tmp_path, constraints=BOUNDS), folder)
    finish(folder, constrained.suggest("a")["trial_id"], {}, "failed")
    constrained.on_trial_complete("a")
    constrained.suggest("b")
    constrained.on_trial_complete("b")
    assert [trial.constraints for trial in trials(search)] == [{}]
    assert [trial.constraints for trial in trials(constrained)] == [{}, {}]


def test_a_trial_that_was_stopped_early_is_held_to_what_was_measured(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path / "s")
    bounds = {**BOUNDS, "latency_ms": {"maximum": 5.0}}
    search = searcher(tiny_config(tmp_path, constraints=bounds), folder)
    own_id = search.suggest("ray")["trial_id"]
    finish(folder, own_id, {"macro_f1": 0.4, "size_mb": 1.0}, "stopped_early")
    search.on_trial_complete("ray")
    assert trials(search)[0].state == TrialState.PRUNED
    assert trials(search)[0].constraints == {
        "size_mb.maximum": pytest.approx(-0.5),
        "macro_f1.minimum": pytest.approx(0.5),
    }


def test_a_trial_that_is_told_after_a_crash_has_its_constraints_too(tmp_path: Path) -> None:
    config, folder = tiny_config(tmp_path, constraints=BOUNDS), SweepFolder(tmp_path / "s")
    before = searcher(config, folder)
    for index in range(2):
        own_id = before.suggest(str(index))["trial_id"]
        finish(folder, own_id, {"macro_f1": 0.8, "size_mb": 3.0 + index})
    # The driver was killed after it had told one of the two constraints of the first.
    before._ot_trials["0"].set_constraint("size_mb.maximum", 0.5)

    after = searcher(config, folder)
    assert [trial.state for trial in trials(after)] == [TrialState.COMPLETE] * 2
    assert [trial.constraints["size_mb.maximum"] for trial in trials(after)] == [0.5, 1.0]
    assert [trial.constraints["macro_f1.minimum"] for trial in trials(after)] == [0.0, 0.0]


def test_what_finished_while_ray_was_stopping_has_its_constraints(tmp_path: Path) -> None:
    config, folder = tiny_config(tmp_path, constraints=BOUNDS), SweepFolder(tmp_path / "s")
    search = searcher(config, folder)
    finish(folder, search.suggest("ray")["trial_id"], {"macro_f1": 0.8, "size_mb": 3.0})
    mark_cut_off(search._ot_study, config, folder)
    assert trials(search)[0].constraints["size_mb.maximum"] == 0.5


@pytest.mark.parametrize(
    ("sampler", "count"),
    [
        ({"name": "tpe", "startup_trials": 8}, 24),
        ({"name": "nsga2", "population_size": 4}, 24),
        pytest.param({"name": "gp", "startup_trials": 4}, 12, marks=pytest.mark.slow),
    ],
)
def test_constraints_steer_the_sampler_to_where_trials_are_feasible(
    tmp_path: Path, sampler: Any, count: int
) -> None:
    drawn = {}
    for name, bounds in (("free", {}), ("bound", {"ece": {"maximum": 0.25}})):
        config = tiny_config(tmp_path, search={"sampler": sampler}, constraints=bounds, **TOY)
        folder = SweepFolder(tmp_path / name)
        search = searcher(config, folder)
        alphas = [step(search, folder, str(index)) for index in range(count)]
        drawn[name] = sum(alphas[-8:]) / 8
    # Freely, quality draws alpha up to 1; the constraint holds it at 0.25 or near.
    assert drawn["bound"] < drawn["free"] - 0.2


TOY = {**STUDENT_ONLY, "objectives": {"macro_f1": "maximize"}}


def step(search: StudySearch, folder: SweepFolder, ray_id: str) -> float:
    """Tells that quality rises with alpha, and that only a small alpha is well calibrated."""
    drawn = search.suggest(ray_id)
    alpha = float(drawn["parameters"]["distillation.alpha"])
    finish(folder, drawn["trial_id"], {"macro_f1": alpha, "ece": alpha})
    search.on_trial_complete(ray_id)
    return alpha


@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
def test_a_sweep_without_a_feasible_trial_ends_well_and_names_the_nearest(output: Path) -> None:
    config = tiny_config(
        output, name="infeasible", search={"trials": 2}, constraints={"size_mb": {"maximum": 1e-6}}
    )
    folder = SweepFolder(output / "infeasible")
    swept = run_sweep(config, folder, Launch(""), Console(file=io.StringIO()))
    assert swept.complete
    assert (swept.summary["front"], swept.summary["feasible"]) == ([], [])
    sizes = {result.trial_id: result.metrics["size_mb"] for result in folder.results()}
    assert swept.summary["nearest"] == min(sizes, key=lambda trial_id: sizes[trial_id])
    assert not list((folder.root / "students").iterdir())
    study = open_study(config, folder, 0)
    assert study.best_trials == []
    assert [t.state for t in study.get_trials()] == [TrialState.COMPLETE] * 2
    text = io.StringIO()
    show_end(swept, folder, Console(file=text, width=200))
    assert "No trial meets the constraints; nearest: trial " in text.getvalue()
    assert past_config(folder, ["search.trials=3"]).constraints == config.constraints
