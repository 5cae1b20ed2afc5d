"""Ray Tune's side of a time budget: trials are begun in their order until it is over."""

from typing import Any

from ray.tune.schedulers import FIFOScheduler

from kdray.sweep.not_pickled import NotPickled
from kdray.sweep.time_budget import TimeBudget


class InTime(NotPickled, FIFOScheduler):  # type: ignore[misc]  # ray has no types
    """Begins trials in their order, and stops them when the time is over.

    A trial that runs then stops after its epoch: its worker has kept its state, and it has no
    result, so that a resume goes on with it.

    Args:
        budget: The time that the sweep has.
    """

    def __init__(self, budget: TimeBudget) -> None:
        super().__init__()
        self._budget = budget

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Stops a trial whose worker says that the time was over at the end of its epoch."""
        self._budget.longest_s = max(self._budget.longest_s, result.get("time_this_iter_s", 0.0))
        if not result.get("late"):
            return str(self.CONTINUE)
        self._budget.cut_off.add(trial.config["trial_id"])
        return str(self.STOP)

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """Returns the next trial; none when the time is over, and then none waits for a slot."""
        if not self._budget.is_over():
            return super().choose_trial_to_run(tune_controller)
        ending = {"PENDING", "RUNNING"} if self._budget.is_overdue() else {"PENDING"}
        for trial in [one for one in tune_controller.get_trials() if one.status in ending]:
            self._budget.cut_off.add(trial.config["trial_id"])
            tune_controller.stop_trial(trial)
        return None
