"""What Optuna is told of earlier sweeps."""

import io
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from rich.console import Console

from kdray.results.folder import SweepFolder, write_trial
from kdray.results.records import TrialResult
from kdray.schema import SweepConfig
from kdray.sweep.opening import Launch
from kdray.sweep.run import run_sweep
from kdray.sweep.search import StudySearch, begin, open_study
from kdray.sweep.warm_start import WARM_START, learn
from tests.conftest import Tiny
from tests.test_warm_start import leave_sweep, leave_trial
from tests.tiny_sweep import tiny_config

BOUNDS = {"size_mb": {"maximum": 1.0}}


def new_study(tmp_path: Path, **changes: Any) -> tuple[optuna.Study, SweepConfig, list[str]]:
    """Returns a study that has learnt from two trials, one with pruning, and what was said."""
    earlier, written = leave_sweep(tmp_path / "a")
    leave_trial(earlier, written, "0000")
    leave_trial(earlier, written, "0001", pruning={"method": "none"})
    leave_trial(earlier, written, "0002", {})
    search = {"warm_start": ["a"], **changes.pop("search", {})}
    config = tiny_config(tmp_path, search=search, **changes)
    folder, said = SweepFolder(tmp_path / "b"), list[str]()
    folder.root.mkdir()
    study = open_study(config, folder, 0)
    learn(study, config, said.append)
    return study, config, said


def test_earlier_trials_are_complete_trials_of_the_study(tmp_path: Path) -> None:
    study, _, said = new_study(tmp_path, constraints=BOUNDS)
    first, second = study.get_trials()
    assert first.state == second.state == TrialState.COMPLETE
    assert first.values == [0.5, 1.5]
    assert first.constraints == {"size_mb.maximum": pytest.approx(0.5)}
    assert first.params == {
        "student.layers": 2,
        "pruning.method": "magnitude",
        "pruning.ratio": 0.75,
        "distillation.method": "logit",
        "distillation.alpha": 0.25,
    }
    assert first.user_attrs == {WARM_START: "a/0000"}
    assert "pruning.ratio" not in second.params
    assert said == [f"warm start: learnt from 2 trials of {tmp_path / 'a'}, 1 left out"]


def test_earlier_trials_have_the_distributions_that_this_sweep_draws_from(tmp_path: Path) -> None:
    study, config, _ = new_study(tmp_path, pruning={"ratio": {"uniform": [0.25, 0.75]}})
    search = StudySearch(study, config, SweepFolder(tmp_path / "b"))
    for index in range(8):
        search.suggest(str(index))
    drawn = {}
    for trial in study.get_trials()[2:]:
        drawn |= trial.distributions
    assert study.get_trials()[0].distributions == drawn


def test_earlier_trials_are_not_counted_and_take_no_id(tmp_path: Path) -> None:
    study, config, _ = new_study(tmp_path)
    folder = SweepFolder(tmp_path / "b")
    assert begin(study, config, folder) == config.search.trials
    assert StudySearch(study, config, folder).suggest("ray")["trial_id"] == "0000"


@pytest.mark.parametrize(
    "sampler",
    [{"name": "tpe", "startup_trials": 6}, {"name": "nsga2", "population_size": 6}],
)
def test_a_sampler_draws_by_what_earlier_trials_came_to(tmp_path: Path, sampler: Any) -> None:
    """With alpha 0.1 good and all others bad, the first draws after a warm start are near 0.1."""
    earlier, written = leave_sweep(tmp_path / "a", **TOY)
    for index, alpha in enumerate([0.1, 0.11, 0.12, 0.5, 0.6, 0.7, 0.8, 0.9]):
        distillation = {"method": "logit", "alpha": alpha, "temperature": 2.0}
        training = written.content["training"] | {"weight_decay": 0.01, "warmup_ratio": 0.1}
        sections = {"pruning": {"method": "none"}, "distillation": distillation}
        metrics = {"macro_f1": 1.0 - alpha}
        leave_trial(earlier, written, f"{index:04d}", metrics, **sections, training=training)
    warm, cold = (draws(tmp_path, sampler, names) for names in (["a"], []))
    assert warm < cold - 0.1


TOY = {
    "student": {"layers": 2},
    "pruning": None,
    "distillation": {
        "method": "logit",
        "alpha": {"uniform": [0.0, 1.0]},
        "temperature": {"uniform": [1, 8]},
    },
    "training": {"weight_decay": {"uniform": [0.0, 0.1]}, "warmup_ratio": {"uniform": [0, 0.5]}},
    "objectives": {"macro_f1": "maximize"},
}


def draws(tmp_path: Path, sampler: Any, warm_start: list[str]) -> float:
    """Returns the mean of the first alphas; none is told, so that only earlier trials teach."""
    search = {"sampler": sampler, "warm_start": warm_start}
    config = tiny_config(tmp_path, search=search, **TOY)
    folder = SweepFolder(tmp_path / f"after{len(warm_start)}")
    folder.root.mkdir()
    study = open_study(config, folder, 0)
    learn(study, config, lambda line: None)
    searcher = StudySearch(study, config, folder)
    found = []
    for index in range(6):
        drawn = searcher.suggest(str(index))
        found.append(float(drawn["parameters"]["distillation.alpha"]))
        write_trial(folder, TrialResult(drawn["trial_id"], "failed"))
        searcher.on_trial_complete(str(index))
    return sum(found) / len(found)


@pytest.mark.ray
def test_a_sweep_learns_from_another_and_a_resume_does_not_learn_again(
    output: Path, swept: Tiny
) -> None:
    folder, text = SweepFolder(output / "warm"), io.StringIO()
    warm = {"warm_start": ["tiny"], "trials": 2}
    config = tiny_config(output, name="warm", search=warm)
    run_sweep(config, folder, Launch(""), Console(file=text, width=200))
    assert "warm start: learnt from 3 trials of" in text.getvalue()
    assert [result.trial_id for result in folder.results()] == ["0000", "0001"]

    config = tiny_config(output, name="warm", search=warm | {"trials": 3})
    summary = run_sweep(config, folder, Launch(""), Console(file=io.StringIO())).summary
    assert summary["trials"]["completed"] == 3
    trials = open_study(config, folder, 0).get_trials()
    learnt = [trial for trial in trials if WARM_START in trial.user_attrs]
    assert [trial.user_attrs[WARM_START] for trial in learnt] == [
        f"tiny/{result.trial_id}" for result in swept.folder.results()
    ]
    for trial, result in zip(learnt, swept.folder.results(), strict=True):
        assert trial.params == result.parameters
        assert trial.values == [result.metrics["macro_f1"], result.metrics["size_mb"]]
    own = [trial for trial in trials if WARM_START not in trial.user_attrs]
    assert [trial.user_attrs["trial_id"] for trial in own] == ["0000", "0001", "0002"]
    assert {trial.state for trial in own} == {TrialState.COMPLETE}
