import pickle
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from kdray.results.folder import SweepFolder, write_trial
from kdray.results.records import TrialResult
from kdray.schema import SweepConfig
from kdray.sweep.reconciling import mark_cut_off
from kdray.sweep.search import StudySearch, begin, open_study
from tests.tiny_sweep import tiny_config


def searcher(config: SweepConfig, folder: SweepFolder) -> StudySearch:
    folder.root.mkdir(parents=True, exist_ok=True)
    study = open_study(config, folder, config.seed)
    begin(study, config, folder)
    return StudySearch(study, config, folder)


def states(search: StudySearch) -> list[TrialState]:
    return [trial.state for trial in search._ot_study.get_trials()]


def finish(folder: SweepFolder, trial_id: str, status: Any = "completed") -> None:
    metrics = {"macro_f1": 0.5, "size_mb": 1.0} if status == "completed" else {}
    write_trial(folder, TrialResult(trial_id, status, metrics=metrics))


def test_the_same_seed_draws_the_same_configurations(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    drawn = []
    for name in ("a", "b"):
        search = searcher(config, SweepFolder(tmp_path / name))
        drawn.append([search.suggest(str(index))["parameters"] for index in range(4)])
    assert drawn[0] == drawn[1]


def test_optuna_is_told_what_stands_on_disk(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path / "s")
    search = searcher(tiny_config(tmp_path), folder)
    for index, status in enumerate(("completed", "stopped_early", "failed")):
        finish(folder, search.suggest(f"ray{index}")["trial_id"], status)
        search.on_trial_complete(f"ray{index}", {"macro_f1": 0.9, "size_mb": 9.0})
    assert states(search) == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]
    assert search._ot_study.get_trials()[0].values == [0.5, 1.0]


def test_a_trial_without_a_result_is_told_as_failed(tmp_path: Path) -> None:
    search = searcher(tiny_config(tmp_path), SweepFolder(tmp_path / "s"))
    search.suggest("ray")
    search.on_trial_complete("ray", {"macro_f1": 0.9, "size_mb": 9.0}, error=True)
    assert states(search) == [TrialState.FAIL]


def test_points_are_tried_first_and_their_gaps_are_drawn(tmp_path: Path) -> None:
    point = {"distillation.method": "multi_level", "pruning": {"method": "magnitude"}}
    search = searcher(
        tiny_config(tmp_path, search={"points": [point]}), SweepFolder(tmp_path / "s")
    )
    drawn = search.suggest("ray")["parameters"]
    assert drawn["distillation.method"] == "multi_level"
    assert drawn["pruning.method"] == "magnitude"
    assert 0.5 <= drawn["pruning.ratio"] <= 0.9


def test_points_alone_make_as_many_trials_as_there_are(tmp_path: Path) -> None:
    space = {
        "student": {"layers": {"choice": [1, 2]}},
        "pruning": {"method": "none", "ratio": None},
        "distillation": {"method": "logit", "alpha": 0.5},
        "search": {"sampler": "none", "points": [{"student.layers": 2}, {"student.layers": 1}]},
    }
    config = tiny_config(tmp_path, **space)
    folder = SweepFolder(tmp_path / "s")
    folder.root.mkdir()
    study = open_study(config, folder, 0)
    assert begin(study, config, folder) == 2
    search = StudySearch(study, config, folder)
    assert [search.suggest(str(i))["parameters"]["student.layers"] for i in range(2)] == [2, 1]


def test_a_grid_is_every_combination_once(tmp_path: Path) -> None:
    space = {
        "pruning": {"ratio": {"choice": [0.5, 0.8]}},
        "distillation": {"alpha": 0.5},
        "search": {"sampler": "grid", "trials": 100},
    }
    config = tiny_config(tmp_path, **space)
    folder = SweepFolder(tmp_path / "s")
    folder.root.mkdir()
    study = open_study(config, folder, 0)
    # layers 2 x distillation 2 x (none, magnitude with 2 ratios) 3
    assert begin(study, config, folder) == 12
    search = StudySearch(study, config, folder)
    drawn = {str(sorted(search.suggest(str(i))["parameters"].items())) for i in range(12)}
    assert len(drawn) == 12


GRID: dict[str, Any] = {
    "pruning": {"ratio": {"choice": [0.5, 0.8]}},
    "distillation": {"alpha": 0.5},
}


def grid(tmp_path: Path, trials: int, **search: Any) -> SweepConfig:
    return tiny_config(tmp_path, **GRID, search={"sampler": "grid", "trials": trials, **search})


def draw(search: StudySearch, count: int) -> set[str]:
    """Draws trials, finishes them, and returns their parameters as text."""
    found = set()
    for index in range(count):
        drawn = search.suggest(str(index))
        found.add(str(sorted(drawn["parameters"].items())))
        finish(search.folder, drawn["trial_id"])
        search.on_trial_complete(str(index))
    return found


def test_a_grid_that_is_made_longer_goes_on_with_what_was_not_tried(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path / "s")
    first = draw(searcher(grid(tmp_path, 5), folder), 5)
    assert len(first | draw(searcher(grid(tmp_path, 12), folder), 7)) == 12


def test_a_grid_that_was_cut_off_while_it_was_enqueued_is_enqueued_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, folder = grid(tmp_path, 12), SweepFolder(tmp_path / "s")
    with monkeypatch.context() as patch:
        cut_off_enqueueing(patch, after=2)
        with pytest.raises(KeyboardInterrupt):
            searcher(config, folder)
    again = searcher(config, folder)
    assert states(again) == [TrialState.WAITING] * 12
    assert len(draw(again, 12)) == 12


def cut_off_enqueueing(patch: pytest.MonkeyPatch, after: int) -> None:
    enqueue, places = optuna.Study.enqueue_trial, iter(range(after))

    def one(study: optuna.Study, *args: Any, **named: Any) -> None:
        if next(places, None) is None:
            raise KeyboardInterrupt
        enqueue(study, *args, **named)

    patch.setattr(optuna.Study, "enqueue_trial", one)


def test_a_point_that_stands_twice_is_tried_twice_and_not_again(tmp_path: Path) -> None:
    point = {"distillation.method": "multi_level"}
    config = tiny_config(tmp_path, search={"points": [point, point]})
    folder = SweepFolder(tmp_path / "s")
    draw(searcher(config, folder), 1)
    assert states(searcher(config, folder)) == [TrialState.COMPLETE, TrialState.WAITING]
    draw(searcher(config, folder), 1)
    assert states(searcher(config, folder)) == [TrialState.COMPLETE] * 2


def test_a_point_that_was_cut_off_while_it_was_drawn_is_tried_again(tmp_path: Path) -> None:
    point = {"student.layers": 2, "distillation.method": "multi_level"}
    config = tiny_config(tmp_path, search={"points": [point]})
    folder = SweepFolder(tmp_path / "s")
    cut_off_in_drawing(searcher(config, folder))
    cut_off_in_drawing(searcher(config, folder))
    again = searcher(config, folder)
    assert states(again) == [TrialState.FAIL, TrialState.FAIL, TrialState.WAITING]
    drawn = again.suggest("ray")
    assert drawn["trial_id"] == "0000"
    assert point.items() <= drawn["parameters"].items()


def test_a_trial_that_was_cut_off_while_it_was_drawn_again_keeps_its_values(tmp_path: Path) -> None:
    config, folder = tiny_config(tmp_path), SweepFolder(tmp_path / "s")
    first = searcher(config, folder).suggest("ray")
    cut_off_in_drawing(searcher(config, folder))
    assert searcher(config, folder).suggest("ray") == first


def cut_off_in_drawing(search: StudySearch) -> None:
    """Does what `suggest` has done when the driver is killed after the first value."""
    search._ot_study.ask().suggest_categorical("student.layers", (1, 2))


def test_what_was_cut_off_is_drawn_again_under_its_own_id(tmp_path: Path) -> None:
    config, folder = tiny_config(tmp_path), SweepFolder(tmp_path / "s")
    before = searcher(config, folder)
    first = [before.suggest(f"ray{index}") for index in range(3)]
    finish(folder, first[0]["trial_id"])
    before.on_trial_complete("ray0")
    # Finished on disk, but the driver was killed before Optuna heard of it.
    finish(folder, first[1]["trial_id"])

    after = searcher(config, folder)
    again = after.suggest("other")
    assert again["trial_id"] == first[2]["trial_id"]
    assert again["parameters"] == first[2]["parameters"]
    assert after.suggest("more")["trial_id"] not in {trial["trial_id"] for trial in first}
    assert states(after)[:3] == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.FAIL]


def test_a_trial_cut_off_twice_is_enqueued_once(tmp_path: Path) -> None:
    config, folder = tiny_config(tmp_path), SweepFolder(tmp_path / "s")
    searcher(config, folder).suggest("ray")
    searcher(config, folder).suggest("ray")
    last = searcher(config, folder)
    waiting = [s for s in states(last) if s == TrialState.WAITING]
    assert len(waiting) == 1
    assert last.suggest("ray")["trial_id"] == "0000"


def test_nothing_is_left_running_after_a_sweep_that_was_stopped(tmp_path: Path) -> None:
    search = searcher(tiny_config(tmp_path), SweepFolder(tmp_path / "s"))
    search.suggest("ray")
    mark_cut_off(search._ot_study, search.config, search.folder)
    assert TrialState.RUNNING not in states(search)


def test_ray_may_pickle_the_searcher_but_nothing_is_in_it(tmp_path: Path) -> None:
    search = searcher(tiny_config(tmp_path), SweepFolder(tmp_path / "s"))
    assert len(pickle.dumps(search)) < 500


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random", {"name": "gp", "startup_trials": 2}])
def test_every_sampler_draws_inside_the_domains(tmp_path: Path, sampler: Any) -> None:
    folder = SweepFolder(tmp_path / "s")
    search = searcher(tiny_config(tmp_path, search={"sampler": sampler}), folder)
    for index in range(5):
        drawn = search.suggest(str(index))
        assert 0.1 <= drawn["parameters"]["distillation.alpha"] <= 0.9
        finish(folder, drawn["trial_id"])
        search.on_trial_complete(str(index))
    assert set(states(search)) == {optuna.trial.TrialState.COMPLETE}


def test_what_finished_while_ray_was_stopping_is_told_as_it_stands_on_disk(tmp_path: Path) -> None:
    config, folder = tiny_config(tmp_path), SweepFolder(tmp_path / "s")
    search = searcher(config, folder)
    finish(folder, search.suggest("ray")["trial_id"])
    search.suggest("other")
    mark_cut_off(search._ot_study, config, folder)
    assert states(search) == [TrialState.COMPLETE, TrialState.FAIL]


def test_a_sweep_that_was_renamed_goes_on_and_overwrites_nothing(tmp_path: Path) -> None:
    config, folder = tiny_config(tmp_path), SweepFolder(tmp_path / "s")
    search = searcher(config, folder)
    finish(folder, search.suggest("ray")["trial_id"])
    search.on_trial_complete("ray")
    renamed = SweepFolder(folder.root.rename(tmp_path / "renamed"))
    after = searcher(config, renamed)
    assert states(after) == [TrialState.COMPLETE]
    assert after.suggest("more")["trial_id"] == "0001"
    (renamed.optuna_log).unlink()
    assert searcher(config, renamed).suggest("without a journal")["trial_id"] == "0001"
