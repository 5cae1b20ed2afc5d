"""Which finished trials a sampler still looks at, so that a draw takes as long in a long sweep.

TPE goes through all of them at each draw: it calls a tenth good, and weighs the others the less the
older they are.
"""

from collections.abc import Sequence

import numpy as np
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from kdray.reporting.pareto import Direction, ranking

# What is looked at: the latest, and the best of those before. Fewer draw worse (reports/notes.md).
LATEST, BEST = 200, 100
# How many more there may be until some are forgotten: choosing takes as long as a draw.
SLACK = 30


def forgettable(trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> set[int]:
    """Returns the numbers of the trials that need not be looked at any more; often none.

    Trials that break a constraint are better the less they do so, and worse than all others; those
    without values come last.

    Args:
        trials: Finished trials, the oldest first.
        directions: One for each objective.
    """
    if len(trials) <= LATEST + BEST + SLACK:
        return set()
    older = trials[:-LATEST]
    order = sorted(older, key=_breach)
    free = [trial for trial in order if _breach(trial) == 0]
    words: list[Direction] = [
        "maximize" if one == StudyDirection.MAXIMIZE else "minimize" for one in directions
    ]
    best = [free[i] for i in ranking([trial.values for trial in free], words)] if free else []
    return {trial.number for trial in [*best, *order[len(free) :]][BEST:]}


def _breach(trial: FrozenTrial) -> float:
    """Returns by how much a trial breaks its constraints; infinite without values."""
    if trial.values is None:
        return float(np.inf)
    return float(sum(max(0.0, value) for value in trial.constraints.values()))
