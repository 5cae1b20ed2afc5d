from pathlib import Path
from typing import Any

import pytest
import yaml
from optuna.trial import FrozenTrial, TrialState

from kdray.results.folder import SweepFolder, write_trial
from kdray.results.records import TrialResult
from kdray.schema import SweepConfig
from kdray.sweep.reconciling import mark_cut_off, reconcile
from kdray.sweep.search import StudySearch
from tests.sweep.test_search import finish, searcher, states
from tests.tiny_sweep import tiny_config

BOUNDS = {"size_mb": {"maximum": 2.0}}
TOLD = {TrialState.COMPLETE, TrialState.PRUNED}


def cut_off(config: SweepConfig, folder: SweepFolder) -> FrozenTrial:
    """Begins a sweep and its first trial, stops it as Ctrl-C does, and returns the trial."""
    search = searcher(config, folder)
    search.suggest("ray")
    mark_cut_off(search._ot_study, config, folder)
    return search._ot_study.get_trials()[0]


def finish_elsewhere(folder: SweepFolder, trial_id: str, drawn: Any, **changes: Any) -> None:
    """Puts a trial of this space on disk that no journal here has heard of."""
    text = yaml.safe_dump({**drawn, "sections": drawn["sections"] | changes, "threads": 1})
    result = TrialResult(trial_id, "completed", metrics={"macro_f1": 0.5, "size_mb": 1.0})
    write_trial(folder, result, files={"config.yaml": lambda path: path.write_text(text)})


def ids(search: StudySearch) -> list[str]:
    """Returns the own ids of what Optuna was told of."""
    trials = search._ot_study.get_trials()
    return [trial.user_attrs["trial_id"] for trial in trials if trial.state in TOLD]


@pytest.mark.parametrize("bounds", [{}, BOUNDS])
def test_what_finished_after_it_was_marked_as_cut_off_is_told(tmp_path: Path, bounds: Any) -> None:
    config, folder = tiny_config(tmp_path, constraints=bounds), SweepFolder(tmp_path / "s")
    before = cut_off(config, folder)
    finish(folder, "0000")
    after = searcher(config, folder)
    assert states(after) == [TrialState.FAIL, TrialState.COMPLETE]
    told = after._ot_study.get_trials()[1]
    assert (told.values, told.params) == ([0.5, 1.0], before.params)
    assert told.distributions == before.distributions
    assert told.constraints == ({"size_mb.maximum": pytest.approx(-0.5)} if bounds else {})
    assert after.suggest("ray")["trial_id"] == "0001"


def test_what_was_stopped_early_after_it_was_marked_as_cut_off_is_told(tmp_path: Path) -> None:
    config, folder = tiny_config(tmp_path, constraints=BOUNDS), SweepFolder(tmp_path / "s")
    cut_off(config, folder)
    write_trial(folder, TrialResult("0000", "stopped_early", metrics={"size_mb": 3.0}))
    told = searcher(config, folder)._ot_study.get_trials()[1]
    assert (told.state, told.values) == (TrialState.PRUNED, None)
    assert told.constraints == {"size_mb.maximum": pytest.approx(0.5)}


@pytest.mark.parametrize(("status", "told"), [("completed", ["0000"]), ("failed", [])])
def test_what_finished_while_it_waits_is_not_run_again(
    tmp_path: Path, status: str, told: list[str]
) -> None:
    config, folder = tiny_config(tmp_path), SweepFolder(tmp_path / "s")
    cut_off(config, folder)
    assert states(searcher(config, folder)) == [TrialState.FAIL, TrialState.WAITING]
    finish(folder, "0000", status)
    after = searcher(config, folder)
    assert TrialState.WAITING not in states(after)
    assert ids(after) == told
    assert after.suggest("ray")["trial_id"] == "0001"


def test_a_result_of_which_the_journal_knows_nothing_is_told(tmp_path: Path) -> None:
    config, folder = tiny_config(tmp_path), SweepFolder(tmp_path / "s")
    elsewhere = searcher(config, SweepFolder(tmp_path / "elsewhere"))
    drawn = elsewhere.suggest("ray")
    folder.root.mkdir()
    finish_elsewhere(folder, "0000", drawn)
    after = searcher(config, folder)
    assert states(after) == [TrialState.COMPLETE]
    there, here = elsewhere._ot_study.get_trials()[0], after._ot_study.get_trials()[0]
    assert (here.params, here.distributions) == (there.params, there.distributions)
    assert here.user_attrs == {"trial_id": "0000"}


def test_all_that_finished_is_told_where_the_journal_is_older(tmp_path: Path) -> None:
    config, folder = tiny_config(tmp_path), SweepFolder(tmp_path / "s")
    before = searcher(config, folder)
    drawn = [before.suggest("0")]
    older = folder.optuna_log.read_bytes()  # as an object store has it, seconds later
    drawn += [before.suggest(name) for name in "123"]
    for number, one in enumerate(drawn[:3]):
        finish_elsewhere(folder, one["trial_id"], one)
        before.on_trial_complete(str(number))
    folder.optuna_log.write_bytes(older)
    after = searcher(config, folder)
    assert sorted(ids(after)) == ["0000", "0001", "0002"]
    params = {t.user_attrs["trial_id"]: t.params for t in before._ot_study.get_trials()}
    told = [trial for trial in after._ot_study.get_trials() if trial.state in TOLD]
    assert all(trial.params == params[trial.user_attrs["trial_id"]] for trial in told)
    assert after.suggest("more")["trial_id"] == "0003"


def test_a_result_of_another_space_is_not_told(tmp_path: Path) -> None:
    config, folder = tiny_config(tmp_path), SweepFolder(tmp_path / "s")
    drawn = searcher(config, SweepFolder(tmp_path / "elsewhere")).suggest("ray")
    finish_elsewhere(folder, "0000", drawn, distillation={"method": "logit", "alpha": 0.95})
    assert states(searcher(config, folder)) == []


def test_a_point_that_was_tried_elsewhere_is_not_tried_again(tmp_path: Path) -> None:
    point = {"student.layers": 2, "pruning.method": "none", "distillation.method": "logit"}
    points = [{**point, "distillation.alpha": alpha} for alpha in (0.25, 0.5)]
    config = tiny_config(tmp_path, search={"sampler": "none", "points": points})
    elsewhere = searcher(config, SweepFolder(tmp_path / "elsewhere"))
    folder = SweepFolder(tmp_path / "s")
    finish_elsewhere(folder, "0000", elsewhere.suggest("ray"))
    after = searcher(config, folder)
    assert states(after) == [TrialState.COMPLETE, TrialState.WAITING]
    assert after.suggest("ray")["parameters"]["distillation.alpha"] == 0.5


def test_reconciling_again_changes_nothing(tmp_path: Path) -> None:
    config, folder = tiny_config(tmp_path), SweepFolder(tmp_path / "s")
    search = searcher(config, folder)
    for name in "abcd":
        search.suggest(name)
    mark_cut_off(search._ot_study, config, folder)
    for own_id, status in (("0000", "completed"), ("0001", "stopped_early"), ("0002", "failed")):
        finish(folder, own_id, status)
    after = searcher(config, folder)
    found = states(after)
    assert ids(after) == ["0000", "0001"]
    reconcile(after._ot_study, config, folder)
    assert states(after) == found
    assert states(searcher(config, folder)) == found
