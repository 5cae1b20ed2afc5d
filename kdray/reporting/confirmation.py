"""What the students of the front reach with other seeds, and what of the winner's value was luck.

A sweep picks the best of many noisy values, so what is picked is too high on average. The
confirmations were not picked: only they make means and intervals, the sweep's own run does not.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kdray.reporting.formats import measured
from kdray.reporting.objectives import objective
from kdray.reporting.pareto import Direction, knee
from kdray.reporting.summary import front_ids
from kdray.results.feasibility import Bounds
from kdray.results.folder import SweepFolder, write_json
from kdray.results.records import TrialResult

CONFIDENCE = 0.95
SEED = "-seed-"


@dataclass(frozen=True)
class Interval:
    """A mean over seeds, and how sure it is.

    Attributes:
        mean: In the unit of the metric; NaN without a run.
        half_width: Of the 95 % interval, in the same unit; NaN with fewer than two runs.
        runs: How many runs it is of.
    """

    mean: float
    half_width: float
    runs: int


@dataclass(frozen=True)
class Verdict:
    """What other seeds say of the sweep's winner, the knee of its front.

    Attributes:
        winner: Its trial.
        knee: The knee of the front of the means; None where no student has a mean.
        on_front: Whether the winner is on the front of the means.
        luck: By how much its validation value in the sweep was better than its mean, in the unit
            of the metric; below 0 if it was worse, NaN if none of its runs completed.
        said: All of it in words.
    """

    winner: str
    knee: str | None
    on_front: bool
    luck: float
    said: str

    @property
    def keeps_place(self) -> bool:
        """Whether it is the knee of the means too."""
        return self.winner == self.knee


@dataclass(frozen=True)
class Judged:
    """What a verdict is about.

    Attributes:
        front: The results of the front in the sweep.
        objectives: Direction of each objective.
        constraints: What a student on the front keeps to.
        metric: The validation metric that is the quality.
    """

    front: Sequence[TrialResult]
    objectives: Mapping[str, Direction]
    constraints: Bounds
    metric: str


def confirmation_id(trial_id: str, seed: int) -> str:
    """Returns the id of a student of the front with another seed: `0007-seed-1`."""
    return f"{trial_id}{SEED}{seed}"


def write_confirmation(folder: SweepFolder, front: Sequence[str]) -> dict[str, Any]:
    """Writes `confirmation.json` from the confirmations on disk.

    Args:
        folder: The sweep's folder.
        front: The trials of the front, which alone are in it.

    Returns:
        What is in it: `seeds`, all that were run, and in `trials` by the trial's id the runs with
        `seed`, and `metrics` or, of one that failed, `error`.
    """
    trials: dict[str, list[dict[str, Any]]] = {trial_id: [] for trial_id in front}
    for result in folder.confirmations.results():
        trial_id, _, seed = result.trial_id.rpartition(SEED)
        trials.get(trial_id, []).append({"seed": int(seed), **_outcome(result)})
    for runs in trials.values():
        runs.sort(key=lambda run: int(run["seed"]))
    seeds = sorted({run["seed"] for runs in trials.values() for run in runs})
    content = {"seeds": seeds, "trials": trials}
    write_json(folder.confirmation_json, content)
    return content


def interval(values: Sequence[float]) -> Interval:
    """Returns the mean of values with its 95 % interval, mean ± t · s / √n.

    s is the standard deviation with n - 1 in the denominator, t the 97.5 % quantile of Student's
    distribution with n - 1 degrees of freedom. With three values t is 4.3: few seeds say little.

    Reference: Student, "The probable error of a mean", 1908. https://doi.org/10.2307/2331554

    Args:
        values: One a run; what is not finite is left out.
    """
    from scipy.special import stdtrit

    finite = np.array([value for value in values if math.isfinite(value)], np.float64)
    count = len(finite)
    if count < 2:
        return Interval(float(finite[0]) if count else math.nan, math.nan, count)
    if np.ptp(finite) == 0:
        # As a size: the rounding of its mean is no spread.
        return Interval(float(finite[0]), 0.0, count)
    quantile = stdtrit(count - 1, (1 + CONFIDENCE) / 2)
    half = quantile * finite.std(ddof=1) / math.sqrt(count)
    return Interval(float(finite.mean()), float(half), count)


def interval_of(runs: Sequence[Mapping[str, Any]], metric: str) -> Interval:
    """Returns the interval of a metric over the completed runs of one trial that have it.

    Args:
        runs: The trial's entry in `confirmation.json`.
        metric: Its name, `macro_f1` or `test_macro_f1`.
    """
    completed = [run["metrics"] for run in runs if "metrics" in run]
    return interval([metrics[metric] for metrics in completed if metric in metrics])


def means(runs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Returns the mean of every metric that was measured over the completed runs of one trial."""
    names = {name for run in runs for name in run.get("metrics", {})}
    return {name: interval_of(runs, name).mean for name in names}


def verdict(judged: Judged, trials: Mapping[str, Sequence[Mapping[str, Any]]]) -> Verdict:
    """Returns whether the winner keeps its place among the means, and how much was luck.

    Args:
        judged: The front in the sweep; at least one.
        trials: `trials` of `confirmation.json`.
    """
    winner = _knee(judged, judged.front)
    again = [replace(one, metrics=means(trials[one.trial_id])) for one in judged.front]
    ids = front_ids(again, judged.objectives, judged.constraints)
    left = [one for one in again if one.trial_id in ids]
    best = _knee(judged, left).trial_id if left else None
    found = interval_of(trials[winner.trial_id], judged.metric)
    way = judged.objectives.get(judged.metric)
    better = 1 if objective(judged.metric, way).direction == "maximize" else -1
    luck = better * (winner.metrics[judged.metric] - found.mean)
    told = Verdict(winner.trial_id, best, winner.trial_id in ids, luck, "")
    said = _said(told, judged, winner.metrics[judged.metric], found)
    return replace(told, said=said + _too_few(judged, trials))


def _outcome(result: TrialResult) -> dict[str, Any]:
    if result.status == "completed":
        return {"metrics": dict(result.metrics)}
    return {"error": f"{result.stage}: {result.error}"}


def _knee(judged: Judged, front: Sequence[TrialResult]) -> TrialResult:
    points = [[one.metrics[name] for name in judged.objectives] for one in front]
    return front[knee(points, list(judged.objectives.values()))]


def _said(told: Verdict, judged: Judged, value: float, found: Interval) -> str:
    if not found.runs:
        return f"{_who(told, judged)} could not be confirmed: none of its runs completed."
    quality = f"{objective(judged.metric).label} on validation"
    mean = f"{measured(judged.metric, found.mean)}"
    if found.runs > 1:
        mean += f" ± {measured(judged.metric, found.half_width)}"
    return (
        f"{_who(told, judged)} {_place(told, judged)}. Its {quality} was "
        f"{measured(judged.metric, value)} in the sweep and is {mean} with other seeds: "
        f"{_luck(told, judged, found)}."
    )


def _too_few(judged: Judged, trials: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    ids = [one.trial_id for one in judged.front]
    single = [i for i in ids if interval_of(trials[i], judged.metric).runs == 1]
    if not single:
        return ""
    return f" Of {', '.join(single)} only one run completed: too few for an interval."


def _who(told: Verdict, judged: Judged) -> str:
    role = "the knee of the front" if len(judged.front) > 1 else "the only one on the front"
    return f"Trial {told.winner}, {role},"


def _place(told: Verdict, judged: Judged) -> str:
    if told.keeps_place:
        return "keeps its place"
    if told.on_front:
        return f"stays on it with other seeds, but the knee is then {told.knee}"
    if told.knee is None:
        return "loses its place: with other seeds no student keeps to the constraints"
    return f"loses its place: with other seeds it is not on the front, whose knee is {told.knee}"


def _luck(told: Verdict, judged: Judged, found: Interval) -> str:
    if found.runs < 2:
        return "what of it was luck is not known"
    shown = measured(judged.metric, told.luck)
    if told.luck <= 0 or shown == measured(judged.metric, 0.0):
        return "none of it was luck"
    if told.luck <= found.half_width:
        return f"{shown} of it may have been luck, which is within the interval"
    return f"{shown} of it was luck"
