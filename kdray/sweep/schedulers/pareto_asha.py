"""Successive halving with several objectives: of the trials at a rung the best one in η go on."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import numpy as np

from kdray.config.search import ParetoAsha
from kdray.config.sections import Direction
from kdray.reporting.pareto import FloatArray, ranking
from kdray.results.records import EpochReport
from kdray.sweep.schedulers.rivals import Rivals, Verdict

# At a rung. A trial behind so many others would go on only if all of them did; each that waits has
# a checkpoint on disk.
MOST_WAITING = 16


def judge(rivals: Rivals, trial_id: str) -> Verdict:
    """Tells whether a trial waits after its last report, the last in its history.

    Asynchronous successive halving: a trial that reaches a rung waits there, and whenever a slot
    is free the best of all that wait goes on, if it is one of the best one in η of those seen at
    its rung, so that it is compared with later trials too. Objectives that its report does not
    hold, such as latency, are left out; without any it goes on. Epochs count from those of the
    last generation after the hints on.

    Reference: Schmucker, Donini, Zafar, Salinas and Archambeau, "Multi-objective asynchronous
    successive halving", 2021. https://arxiv.org/abs/2106.12639

    Args:
        rivals: All trials.
        trial_id: The trial.
    """
    if not waits_there(rivals, trial_id):
        return "goes on"
    first = next(_going_on(rivals, trial_id, all_begun=False), None)
    return "goes on" if first == trial_id else "waits"


def waits_there(rivals: Rivals, trial_id: str) -> bool:
    """Returns whether a trial has come to a rung, and no further."""
    options, reports = rivals.options, rivals.history.get(trial_id)
    if not reports or not isinstance(options, ParetoAsha):
        return False
    return is_rung(options, reports[-1]) and bool(rivals.criteria.reported_in(reports[-1]))


def is_rung(options: ParetoAsha, report: EpochReport) -> bool:
    """Returns whether trials are compared after an epoch."""
    return not report.rising and report.counted in rungs(options, report.to_count)


def rungs(options: ParetoAsha, epochs: int) -> set[int]:
    """Returns the epochs at which a trial is compared: r·η^k rounded up, all before its last."""
    found, wanted = set(), float(options.first_rung)
    while math.ceil(wanted) < epochs:
        found.add(math.ceil(wanted))
        wanted *= options.reduction_factor
    return found


def next_up(rivals: Rivals, all_begun: bool) -> str | None:
    """Returns the trial that goes on next of those that wait, None if none does.

    Those that came furthest go first. Of n trials seen at a rung the best ⌊n/η⌋ may go on, the
    best ⌈n/η⌉ once all trials have begun: nobody else is waited for then.

    Args:
        rivals: All trials.
        all_begun: Whether no trial is left to be begun.
    """
    going_on = (_going_on(rivals, there[0], all_begun) for there in _rungs_of_waiting(rivals))
    return next(chain.from_iterable(going_on), None)


def hopeless(rivals: Rivals) -> list[str]:
    """Returns those that wait in vain: they are stopped, which ends their checkpoints.

    That is who is not better than the reference, is behind as many as can go on of all the trials
    of the sweep, or is behind `MOST_WAITING` others that wait.
    """
    most = math.ceil(rivals.trials / _factor(rivals))
    found = []
    for there in _rungs_of_waiting(rivals):
        ranked = _ranked_with(rivals, there[0])[0][:most]
        hoping = [trial_id for trial_id in ranked if trial_id in there][:MOST_WAITING]
        found += [trial_id for trial_id in there if trial_id not in hoping]
    return found


def best_first(
    ids: Sequence[str],
    values: FloatArray,
    objectives: Mapping[str, Direction],
    reference: Mapping[str, float],
    most: int | None = None,
) -> list[str]:
    """Returns the trials at a rung that may go on, the best first.

    Trials that are not better than the reference in every objective of quality never go on: a tiny
    student that only guesses does not survive by being tiny. The others are ranked by fronts, ties
    by ε-net, so that both ends of a front and its spread are kept.

    Args:
        ids: Every trial at the rung.
        values: Of the objectives, a row a trial.
        objectives: Direction of each of these objectives.
        reference: The value of each objective of quality that a trial must exceed.
        most: How many are asked for; None for all.
    """
    least = np.array([reference.get(name, -math.inf) for name in objectives])
    judged = [name in reference for name in objectives]
    above = np.flatnonzero((values > least)[:, judged].all(axis=1))
    ranked = ranking(values[above], list(objectives.values()), most)
    return [ids[row] for row in above[ranked]]


def _going_on(rivals: Rivals, like: str, all_begun: bool) -> Iterator[str]:
    """Yields those that may go on now from the rung of a trial, the best first, it among them."""
    ranked, seen = _ranked_with(rivals, like)
    share = seen / _factor(rivals)
    for trial_id in ranked[: math.ceil(share) if all_begun else math.floor(share)]:
        if trial_id in rivals.waiting or trial_id == like:
            yield trial_id


def _ranked_with(rivals: Rivals, like: str) -> tuple[list[str], int]:
    """Returns who may go on from the rung of a trial, the best first, and how many came there.

    No more of them are ranked than can go on of all trials, should there be as many as are known.
    """
    last, criteria = rivals.history[like][-1], rivals.criteria
    ways, there = criteria.reported_in(last), rivals.history.after(last.counted)
    most = math.ceil(max(rivals.trials, len(there.ids)) / _factor(rivals))
    ranked = there.once(
        tuple(ways),
        lambda: best_first(there.ids, there.of(list(ways)), ways, criteria.reference, most),
    )
    return ranked, len(there.ids)


def _rungs_of_waiting(rivals: Rivals) -> list[list[str]]:
    """Returns those that wait, rung by rung, the last one first."""
    found: dict[int, list[str]] = {}
    for trial_id in rivals.waiting:
        found.setdefault(rivals.history[trial_id][-1].counted, []).append(trial_id)
    return [found[epoch] for epoch in sorted(found, reverse=True)]


def _factor(rivals: Rivals) -> float:
    assert isinstance(rivals.options, ParetoAsha), "no other rule lets trials wait"
    return rivals.options.reduction_factor
