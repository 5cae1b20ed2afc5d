"""What Ray is told when the time of a sweep is over; Ray's part is played by the test."""

import pickle
import time
from types import SimpleNamespace
from typing import Any

import pytest

from kdray.sweep.schedulers.in_time import InTime
from kdray.sweep.time_budget import LEAST_GRACE_S, TimeBudget


class Controller:
    """Ray's trials, and which of them it was told to stop."""

    def __init__(self, **statuses: str) -> None:
        self.trials = [trial(own_id, status) for own_id, status in statuses.items()]
        self.stopped = list[str]()

    def get_trials(self) -> list[Any]:
        return self.trials

    def stop_trial(self, one: Any) -> None:
        one.status = "TERMINATED"
        self.stopped.append(one.config["trial_id"])


def trial(own_id: str, status: str = "RUNNING") -> Any:
    return SimpleNamespace(config={"trial_id": own_id}, status=status)


def test_a_trial_goes_on_until_its_worker_says_that_the_time_is_over() -> None:
    budget = TimeBudget()
    scheduler = InTime(budget)
    for result in ({"report": "…", "late": False}, {"finished": True}, {"report": "…"}):
        assert scheduler.on_trial_result(None, trial("a"), result) == "CONTINUE"
    assert scheduler.on_trial_result(None, trial("a"), {"report": "…", "late": True}) == "STOP"
    assert budget.cut_off == {"a"}


def test_what_waits_for_a_slot_is_begun_in_its_order_until_the_time_is_over() -> None:
    budget = TimeBudget.from_now(3600)
    scheduler, ray = InTime(budget), Controller(a="RUNNING", b="PENDING", c="PENDING")
    assert scheduler.choose_trial_to_run(ray) is ray.trials[1]
    assert not budget.ended
    budget.deadline = time.time()
    assert scheduler.choose_trial_to_run(ray) is None
    assert ray.stopped == ["b", "c"]
    assert budget.cut_off == {"b", "c"}
    assert budget.ended


@pytest.mark.parametrize("longest_s", [1.0, LEAST_GRACE_S])
def test_a_trial_that_is_stuck_is_waited_for_as_long_as_two_epochs_take(longest_s: float) -> None:
    budget, grace_s = TimeBudget(), max(LEAST_GRACE_S, 2 * longest_s)
    scheduler, ray = InTime(budget), Controller(a="RUNNING", b="TERMINATED")
    scheduler.on_trial_result(None, trial("b"), {"time_this_iter_s": longest_s})
    for late_s, stopped in ((grace_s - 5, []), (grace_s + 5, ["a"])):
        budget.deadline = time.time() - late_s
        scheduler.choose_trial_to_run(ray)
        assert ray.stopped == stopped


def test_a_sweep_without_a_budget_is_never_out_of_time() -> None:
    budget = TimeBudget.from_now(None)
    assert not budget.is_over()
    assert not budget.is_overdue()


def test_ray_may_pickle_the_scheduler_but_nothing_is_in_it() -> None:
    assert len(pickle.dumps(InTime(TimeBudget.from_now(9)))) < 500
