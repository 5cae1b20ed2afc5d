"""What runs next where trials wait at rungs."""

import json
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher

from kdray.results.folder import SweepFolder, write_trial
from kdray.results.records import TrialResult
from kdray.sweep.promotion import PromotingSearch, make_search
from kdray.sweep.reconciling import mark_cut_off
from kdray.sweep.schedulers.early_stopping import EarlyStopping
from kdray.sweep.schedulers.rivals import rivals_of
from kdray.sweep.search import StudySearch, begin, open_study
from kdray.sweep.stopped_values import WORTH
from tests.sweep.schedulers.test_early_stopping import VERIFICATION, tell, trial
from tests.sweep.schedulers.trials import reports
from tests.tiny_sweep import tiny_config

FINISHED = Searcher.FINISHED


class Sweep:
    """A sweep whose trials report what the test says; Ray's part is played by the test."""

    def __init__(self, root: Path, trials: int = 9, **changes: Any) -> None:
        rule = {"scheduler": "pareto_asha", "trials": trials} | changes.pop("search", {})
        config = tiny_config(root, search=rule, training={"epochs": 4}, **changes)
        self.folder = SweepFolder(root / "s")
        self.folder.teacher.mkdir(parents=True, exist_ok=True)
        self.folder.verification_json.write_text(json.dumps(VERIFICATION))
        study = open_study(config, self.folder, config.seed)
        left = begin(study, config, self.folder) - len(self.folder.results())
        rivals = rivals_of(config, self.folder, trials)
        assert rivals is not None
        self.config, self.study, self.rivals = config, study, rivals
        search = make_search(study, config, self.folder, rivals, left)
        assert isinstance(search, PromotingSearch)
        self.search = search
        self.scheduler = EarlyStopping(rivals, self.folder, 1, search.stopped, search.budget)

    def suggest(self, ray_id: str) -> Any:
        drawn = self.search.suggest(ray_id)
        return drawn["trial_id"] if isinstance(drawn, dict) else drawn

    def report(self, ray_id: str, own_id: str, *scores: float, size_mb: float = 1.0) -> bool:
        """Reports epochs and returns whether Ray was told to stop, which it does."""
        done = len(self.rivals.history.get(own_id, ()))
        epochs = reports([0.31] * done + list(scores), size_mb, epochs=4)[done:]
        if any(tell(self.scheduler, own_id, epoch) == "STOP" for epoch in epochs):
            self.search.on_trial_complete(ray_id)
            return True
        return False

    def complete(self, ray_id: str, own_id: str) -> None:
        metrics = {"macro_f1": 0.7, "size_mb": 1.0}
        write_trial(self.folder, TrialResult(own_id, "completed", metrics=metrics))
        self.search.on_trial_complete(ray_id)

    def told(self) -> list[tuple[str, TrialState]]:
        return [(t.user_attrs["trial_id"], t.state) for t in self.study.get_trials()]


def test_the_best_that_waits_goes_on_before_a_new_trial_begins(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    for own_id, score in (("0000", 0.6), ("0001", 0.5), ("0002", 0.4)):
        assert sweep.suggest(f"ray{own_id}") == own_id
        assert sweep.report(f"ray{own_id}", own_id, score)
    assert sweep.suggest("again") == "0000"
    assert sweep.suggest("new") == "0003"
    # It is one trial to Optuna, drawn once.
    assert sweep.told() == [(f"{n:04d}", TrialState.RUNNING) for n in range(4)]
    sweep.complete("again", "0000")
    assert sweep.told()[0] == ("0000", TrialState.COMPLETE)


def test_a_trial_goes_on_with_what_it_was_drawn_with(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, trials=1)
    drawn = sweep.search.suggest("ray")
    assert isinstance(drawn, dict)
    result = {"report": reports([0.5], 1.0, epochs=4)[0].to_json(), "duration_s": 1.0}
    waiting = trial("0000")
    waiting.config = drawn
    assert sweep.scheduler.on_trial_result(None, waiting, result) == "STOP"
    sweep.search.on_trial_complete("ray")
    assert sweep.search.suggest("again") == drawn


def test_nothing_runs_while_that_depends_on_trials_that_run(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, trials=2)
    for own_id in ("0000", "0001"):
        sweep.suggest(f"ray{own_id}")
    sweep.report("ray0000", "0000", 0.5)
    # All have begun: the best of one goes on at once, and is not waited for by anyone.
    assert sweep.suggest("again") == "0000"
    assert sweep.suggest("more") is None
    sweep.report("ray0001", "0001", 0.4, size_mb=2.0)
    assert sweep.suggest("more") is None
    sweep.complete("again", "0000")
    assert not sweep.search.exhausted
    assert sweep.suggest("more") == FINISHED
    assert sweep.search.exhausted


def test_those_that_still_wait_at_the_end_were_stopped_early(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, trials=3)
    for own_id, score in (("0000", 0.6), ("0001", 0.5), ("0002", 0.4)):
        sweep.suggest(f"ray{own_id}")
        sweep.report(f"ray{own_id}", own_id, score, size_mb=2.0 + score)
    assert sweep.suggest("again") == "0000"
    sweep.complete("again", "0000")
    assert sweep.suggest("more") == FINISHED
    sweep.scheduler.stop_waiting()
    statuses = [result.status for result in sweep.folder.results()]
    assert statuses == ["completed", "stopped_early", "stopped_early"]
    assert [state for _, state in sweep.told()] == [
        TrialState.COMPLETE,
        TrialState.PRUNED,
        TrialState.PRUNED,
    ]


def test_a_trial_that_was_cut_off_while_it_waited_waits_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Sweep(tmp_path)
    for own_id, score in (("0000", 0.5), ("0001", 0.45)):
        before.suggest(f"ray{own_id}")
        before.report(f"ray{own_id}", own_id, score)
    before.suggest("ray2")  # in its first epoch
    mark_cut_off(before.study, before.config, before.folder)
    assert {state for _, state in before.told()} == {TrialState.FAIL}

    kept = dict(before.rivals.history)
    monkeypatch.setattr("kdray.sweep.schedulers.rivals.past", lambda folder: kept)
    after = Sweep(tmp_path)
    assert set(after.search.waiting()) == {"0000", "0001"}
    assert after.suggest("a") == "0002"
    assert after.report("a", "0002", 0.4)
    # Of three one goes on, as if nothing had happened.
    assert after.suggest("b") == "0000"
    assert [after.suggest(name) for name in ("c", "d")] == ["0003", "0004"]
    running = [own for own, state in after.told() if state == TrialState.RUNNING]
    assert sorted(running) == ["0000", "0001", "0002", "0003", "0004"]


@pytest.mark.parametrize(("completed", "trials"), [(0, 1), (0, 2), (1, 1)])
def test_with_fewer_trials_than_have_begun_those_that_wait_go_on_or_stop_and_none_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, completed: int, trials: int
) -> None:
    before, ids = Sweep(tmp_path), ["0000", "0001", "0002"]
    for own_id, score in zip(ids, (0.6, 0.5, 0.4), strict=True):
        before.suggest(f"ray{own_id}")
        before.report(f"ray{own_id}", own_id, score)
    for own_id in ids[:completed]:
        assert before.suggest("again") == own_id
        before.complete("again", own_id)
    mark_cut_off(before.study, before.config, before.folder)
    kept = dict(before.rivals.history)
    monkeypatch.setattr("kdray.sweep.schedulers.rivals.past", lambda folder: kept)
    after, going = Sweep(tmp_path, trials), ids[completed:1]
    for own_id in going:
        assert after.suggest(own_id) == own_id
    assert after.suggest("more") == (None if going else FINISHED)
    for own_id in going:
        after.complete(own_id, own_id)
    assert after.suggest("more") == FINISHED
    assert after.search.exhausted
    assert after.search.samples == -1
    after.scheduler.stop_waiting()
    assert [result.trial_id for result in after.folder.results()] == ids


def test_those_that_waited_are_taken_up_before_what_was_enqueued_at_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [{"distillation.alpha": n / 10} for n in range(1, 7)]
    before = Sweep(tmp_path, search={"points": points})
    for own_id in ("0000", "0001"):
        before.suggest(f"ray{own_id}")
        before.report(f"ray{own_id}", own_id, 0.5)
    mark_cut_off(before.study, before.config, before.folder)
    kept = dict(before.rivals.history)
    monkeypatch.setattr("kdray.sweep.schedulers.rivals.past", lambda folder: kept)
    after = Sweep(tmp_path, search={"points": points})
    assert set(after.search.waiting()) == {"0000", "0001"}
    drawn = after.search.suggest("new")
    assert isinstance(drawn, dict)
    assert (drawn["trial_id"], drawn["parameters"]["distillation.alpha"]) == ("0002", 0.3)
    assert after.rivals.waiting["0001"]["parameters"]["distillation.alpha"] == 0.2


def test_a_trial_whose_wait_could_not_be_written_is_tried_again_and_waits_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = Sweep(tmp_path, trials=1)
    sweep.suggest("ray")

    def full(*_: Any) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("kdray.sweep.promotion.tell_worth", full)
        with pytest.raises(OSError, match="no space"):
            sweep.report("ray", "0000", 0.5)
    # What Ray does then.
    sweep.scheduler.on_trial_error(None, trial("0000", tried_again=True))
    assert sweep.search.waiting() == set()
    assert sweep.suggest("more") is None
    sweep.complete("ray", "0000")
    assert sweep.told() == [("0000", TrialState.COMPLETE)]


def test_a_sampler_knows_what_a_trial_that_waits_is_worth(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    sweep.suggest("ray")
    sweep.report("ray", "0000", 0.5)
    assert sweep.study.get_trials()[0].user_attrs[WORTH] == [0.5, 1.0]
    assert sweep.told() == [("0000", TrialState.RUNNING)]


@pytest.mark.parametrize(
    ("bounds", "told"),
    [
        ({"size_mb": {"maximum": 2.0}}, {"size_mb.maximum": pytest.approx(-0.5)}),
        # What a trial that waits is worth in the end is open, and Optuna takes it once.
        ({"macro_f1": {"minimum": 0.7}}, {}),
    ],
)
def test_of_bounds_optuna_hears_what_cannot_change(
    tmp_path: Path, bounds: dict[str, Any], told: dict[str, Any]
) -> None:
    sweep = Sweep(tmp_path, constraints=bounds)
    sweep.suggest("ray")
    sweep.report("ray", "0000", 0.5)
    found = sweep.study.get_trials()[0]
    assert found.constraints == told
    assert (WORTH in found.user_attrs) == bool(told)


def test_a_search_that_is_halted_sends_nobody_on(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, trials=1)
    sweep.suggest("ray")
    sweep.report("ray", "0000", 0.5)
    sweep.search.halt("a disk is full")
    assert sweep.suggest("again") == FINISHED
    assert not sweep.search.exhausted
    assert sweep.folder.results() == []


def test_when_the_time_is_over_nobody_is_sent_on_and_nobody_who_waits_is_stopped(
    tmp_path: Path,
) -> None:
    sweep = Sweep(tmp_path, trials=1, search={"time_budget_s": 3600})
    sweep.suggest("ray")
    sweep.report("ray", "0000", 0.5)
    sweep.search.budget.deadline = 0.0
    assert sweep.suggest("again") == FINISHED
    assert not sweep.search.exhausted
    assert list(sweep.search.waiting()) == ["0000"]
    assert sweep.told() == [("0000", TrialState.RUNNING)]


def test_a_trial_that_fails_after_it_went_on_is_told_as_failed(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, trials=1)
    sweep.suggest("ray")
    sweep.report("ray", "0000", 0.5)
    assert sweep.suggest("again") == "0000"
    sweep.search.on_trial_complete("again", error=True)
    assert sweep.told() == [("0000", TrialState.FAIL)]
    assert sweep.suggest("more") == FINISHED


def test_ray_asks_for_as_many_as_there_are_or_until_there_are_no_more(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    assert sweep.search.samples == -1
    for left, promoting, samples in ((3, False, 3), (-1, False, 0), (3, True, -1), (-1, True, 0)):
        rivals = sweep.rivals if promoting else None
        found = make_search(sweep.study, sweep.config, sweep.folder, rivals, left)
        assert found.samples == samples
        assert type(found) is (PromotingSearch if promoting else StudySearch)
