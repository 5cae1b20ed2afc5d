"""The median rule with several objectives: a trial is stopped if it is better in none of them."""

import numpy as np

from kdray.config.search import Median
from kdray.sweep.schedulers.rivals import Rivals, Verdict


def judge(rivals: Rivals, trial_id: str) -> Verdict:
    """Tells whether a trial is stopped after its last report, the last in its history.

    It is stopped if the values of its best epoch so far are better than the median of the other
    trials', at the same epoch, in no objective, and worse in one: a weak student survives by being
    small, but not where all are as small. Objectives that its report does not hold, such as
    latency, are left out; without any it goes on. No trial is stopped at its last epoch.

    Reference, for one objective: Golovin, Solnik, Moitra, Kochanski, Karro and Sculley, "Google
    Vizier: a service for black-box optimization", 2017. https://doi.org/10.1145/3097983.3098043

    Args:
        rivals: All trials.
        trial_id: The trial.
    """
    options, last = rivals.options, rivals.history[trial_id][-1]
    assert isinstance(options, Median), "its own options"
    ways = rivals.criteria.reported_in(last)
    if not ways or last.counted < options.grace_epochs or last.counted >= last.to_count:
        return "goes on"
    there = rivals.history.after(last.counted)
    if len(there.ids) - 1 < options.startup_trials:
        return "goes on"
    values, row = there.of(list(ways)), there.row(trial_id)
    assert row is not None, "it has come so far and goes on"
    signs = np.array([1.0 if way == "maximize" else -1.0 for way in ways.values()])
    middle = np.nanmedian(np.delete(values, row, axis=0), axis=0)
    ahead = signs * (values[row] - middle)
    return "goes on" if (ahead > 0).any() or (ahead == 0).all() else "stops"
