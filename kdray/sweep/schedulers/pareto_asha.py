"""Successive halving with several objectives: at each rung one trial in η goes on."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from kdray.config.search import ParetoAsha
from kdray.config.sections import Direction
from kdray.reporting.pareto import ranking
from kdray.sweep.schedulers.history import Criteria, History, standings


def stops(options: ParetoAsha, criteria: Criteria, history: History, trial_id: str) -> bool:
    """Tells whether a trial is stopped after its last report.

    The stopping variant of asynchronous successive halving: a trial that reaches a rung is compared
    with all that reached it before, and the decision is final. Objectives that its report does not
    hold, such as latency, are left out; without any it goes on. Epochs count from those of the last
    generation after the hints on.

    Reference: Schmucker, Donini, Zafar, Salinas and Archambeau, "Multi-objective asynchronous
    successive halving", 2021. https://arxiv.org/abs/2106.12639

    Args:
        options: The first rung and η.
        criteria: What trials are compared in.
        history: The reports of each trial, this one's included.
        trial_id: The trial.
    """
    last = history[trial_id][-1]
    ways = criteria.reported_in(last)
    if not ways or last.counted not in rungs(options, last.to_count):
        return False
    rung = standings(history, last.counted, criteria, list(ways))
    return trial_id not in survivors(rung, ways, criteria.reference, options.reduction_factor)


def rungs(options: ParetoAsha, epochs: int) -> set[int]:
    """Returns the epochs at which a trial is compared: r·η^k rounded up, all before its last."""
    found, wanted = set(), float(options.first_rung)
    while math.ceil(wanted) < epochs:
        found.add(math.ceil(wanted))
        wanted *= options.reduction_factor
    return found


def survivors(
    rung: Mapping[str, Sequence[float]],
    objectives: Mapping[str, Direction],
    reference: Mapping[str, float],
    reduction_factor: float,
) -> list[str]:
    """Returns the trials that go on from a rung, the best first.

    Trials that are not better than the reference in every objective of quality never go on: a tiny
    student that only guesses does not survive by being tiny. The others are ranked by fronts, ties
    by ε-net, so that both ends of a front and its spread are kept. Of n trials at the rung the
    first ⌈n/η⌉ go on: the very first does, and a later one if it is among them.

    Args:
        rung: Values of the objectives of every trial at the rung, by its id.
        objectives: Direction of each of these objectives.
        reference: The value of each objective of quality that a trial must exceed.
        reduction_factor: η.
    """
    above = [
        trial_id
        for trial_id, values in rung.items()
        if all(
            value > reference[name]
            for name, value in zip(objectives, values, strict=True)
            if name in reference
        )
    ]
    ranked = ranking(np.array([rung[trial_id] for trial_id in above]), list(objectives.values()))
    kept = math.ceil(len(rung) / reduction_factor)
    return [above[row] for row in ranked[:kept]]
