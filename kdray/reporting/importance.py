"""Importance of each drawn parameter for each objective: how much worse it is foretold without it.

A random forest foretells an objective from the parameters. A parameter's importance is by how much
the squared error on the trials that a tree has not seen grows when its values are shuffled among
them. What has no influence then has none, however few trials there are, where measures on the
trials that were learnt from (fANOVA) or on the best ones alone (PED-ANOVA) see one.

A parameter that only some trials have is shuffled among those; elsewhere it has a middle value, so
that having it at all is the doing of what decides that, as `pruning.method` for `pruning.ratio`.

Reference: Breiman, "Random Forests", 2001. https://doi.org/10.1023/A:1010933404324
"""

import json
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdray.reporting.objectives import objective
from kdray.reporting.reading import read_sweep
from kdray.results.folder import SweepFolder, write_json
from kdray.results.records import TrialResult

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

FEWEST = 10
TREES, SEED = 100, 0
# Nothing else can change what a student takes on disk, in memory and in time.
OF_STUDENT = ("student.", "pruning.")
COMPUTED = (
    f"by how much the squared error of a random forest ({TREES} trees, seed {SEED}) grows on the "
    "trials that a tree has not seen, when the parameter is shuffled among those that have it; "
    "as shares that add up to 1. For sizes and speeds only parameters of student and pruning are "
    "judged, as no other can change them. explained: share of the variance that the forest "
    "foretells there; where that is 0, nothing can be said of importance. drawn_together: "
    "parameters that cannot be told apart from the one that is named."
)


@dataclass(frozen=True)
class Column:
    """A parameter as a forest reads it.

    Attributes:
        values: Shape (trials, 1) for numbers, (trials, categories) of 0 and 1 for the others.
        having: The trials that have it, which it is shuffled among.
    """

    values: FloatArray
    having: IntArray


def write_importance(folder: SweepFolder) -> None:
    """Writes `importance.json`, from the completed trials in the folder.

    Without any trial folder, as in a published report, it is left as it is.

    Raises:
        ConfigError: There is no `sweep.yaml`.
    """
    results = folder.results()
    if results:
        objectives = read_sweep(folder)["config"]["objectives"]
        write_json(folder.importance_json, importances(results, list(objectives)))


def read_importance(folder: SweepFolder) -> dict[str, Any] | None:
    """Returns what is in `importance.json`, or None: a sweep of an older version has none."""
    if not folder.importance_json.is_file():
        return None
    found: dict[str, Any] = json.loads(folder.importance_json.read_text(encoding="utf-8"))
    return found


def importances(results: Sequence[TrialResult], objectives: Sequence[str]) -> dict[str, Any]:
    """Returns what `importance.json` holds.

    Args:
        results: Results of a sweep; only completed trials with every objective count.
        objectives: The metrics.

    Returns:
        `trials` (how many count) and either `reason`, why there is no more, or `computed` (how, in
        words), `importance` ({objective: {parameter: share}}, the largest first; the shares of an
        objective add up to 1, or are all 0 where nothing is foretold), `explained` ({objective:
        share of the variance}), `trials_with` ({parameter: how many trials have it}, where not all
        do) and `drawn_together` ({parameter: [those that change with it alone]}).
    """
    known = [
        result
        for result in results
        if result.status == "completed"
        and all(math.isfinite(result.metrics.get(name, math.nan)) for name in objectives)
    ]
    if len(known) < FEWEST:
        reason = f"{len(known)} completed trials are too few; {FEWEST} are needed"
        return {"trials": len(known), "reason": reason}
    drawn = _drawn(known)
    groups = _groups(drawn, len(known))
    if not groups:
        return {"trials": len(known), "reason": "no parameter had more than one value"}
    columns = {name: _column(drawn[name], len(known)) for name in groups}
    values = {name: np.array([result.metrics[name] for result in known]) for name in objectives}
    found = {name: _shares(columns, name, targets) for name, targets in values.items()}
    return {
        "trials": len(known),
        "computed": COMPUTED,
        "importance": {name: shares for name, (shares, _) in found.items()},
        "explained": {name: explained for name, (_, explained) in found.items()},
        "trials_with": {n: len(drawn[n]) for n in groups if len(drawn[n]) < len(known)},
        "drawn_together": {name: others for name, others in groups.items() if others},
    }


def shuffled(
    columns: Sequence[Column],
    inputs: FloatArray,
    rows: IntArray,
    generator: np.random.Generator,
) -> Iterator[FloatArray]:
    """Yields some rows of the inputs, in each another column shuffled among those that have it.

    Args:
        columns: The parameters.
        inputs: Their values side by side, shape (trials, numbers).
        rows: The trials that are yielded.
        generator: What shuffles them.
    """
    start = 0
    for column in columns:
        table = inputs[rows]
        block = table[:, start : start + column.values.shape[1]]
        having = np.flatnonzero(np.isin(rows, column.having))
        block[having] = block[generator.permutation(having)]
        start += block.shape[1]
        yield table


def _drawn(results: Sequence[TrialResult]) -> dict[str, dict[int, Hashable]]:
    """Returns the values of each parameter by the places of the trials that have it."""
    drawn: dict[str, dict[int, Hashable]] = {}
    for place, result in enumerate(results):
        for name, value in result.parameters.items():
            plain = isinstance(value, int | float) and not isinstance(value, bool)
            drawn.setdefault(name, {})[place] = value if plain else json.dumps(value)
    return {name: drawn[name] for name in sorted(drawn)}


def _groups(drawn: Mapping[str, Mapping[int, Hashable]], count: int) -> dict[str, list[str]]:
    """Returns the parameters that vary, each with those that cannot be told apart from it."""
    first: dict[tuple[int, ...], str] = {}
    groups: dict[str, list[str]] = {}
    for name, values in drawn.items():
        seen: dict[Hashable, int] = {}
        # Equal for two parameters if one changes whenever the other does; None where one is absent.
        marks = tuple(seen.setdefault(values.get(i), len(seen)) for i in range(count))
        # Numbers that are all different change whenever others do, without being tied to them.
        leader = first.setdefault(marks, name) if len(seen) <= count // 2 else name
        if leader != name:
            groups[leader].append(name)
        elif len(seen) > 1:
            groups[name] = []
    return groups


def _column(values: Mapping[int, Hashable], count: int) -> Column:
    different = sorted(set(values.values()), key=str)
    if len(different) == 1:
        # It says which option was chosen: to have it or not are its two values.
        there = np.array([[float(place in values)] for place in range(count)])
        return Column(there, np.arange(count))
    having = np.array(sorted(values))
    if all(isinstance(value, int | float) for value in different):
        known = np.array([values[place] for place in having], dtype=np.float64)
        column = np.full((count, 1), np.median(known))
        column[having, 0] = known
        return Column(column, having)
    given = list(values.values())
    common = max(different, key=given.count)
    hot = [[float(values.get(i, common) == one) for one in different] for i in range(count)]
    return Column(np.array(hot), having)


def _shares(
    columns: Mapping[str, Column], metric: str, targets: FloatArray
) -> tuple[dict[str, float], float]:
    """Returns each parameter's share, the largest first, and how much is explained at all."""
    # A sampler draws what goes together: else the learning rate would stand for a size.
    of_student = objective(metric).kind in ("cost", "rate")
    judged = [name for name in columns if name.startswith(OF_STUDENT) or not of_student]
    losses, explained = _losses([columns[name] for name in judged], targets)
    gains = dict.fromkeys(columns, 0.0)
    gains |= dict(zip(judged, np.maximum(losses, 0) * (explained > 0), strict=True))
    total = sum(gains.values()) or 1.0
    order = sorted(gains, key=lambda name: (-gains[name], name))
    return {name: round(float(gains[name] / total), 4) for name in order}, round(explained, 4)


def _losses(columns: Sequence[Column], targets: FloatArray) -> tuple[FloatArray, float]:
    """Returns by how much each shuffled column adds to the error, and the share explained."""
    from sklearn.ensemble import RandomForestRegressor

    losses = np.zeros(len(columns))
    if not columns or np.ptp(targets) == 0:
        return losses, 0.0
    inputs = np.concatenate([column.values for column in columns], axis=1)
    forest = RandomForestRegressor(TREES, oob_score=True, random_state=SEED)
    forest.fit(inputs, targets)
    generator = np.random.default_rng(SEED)
    for tree, learnt in zip(forest.estimators_, forest.estimators_samples_, strict=True):
        unseen = np.setdiff1d(np.arange(len(targets)), learnt)
        tables = [inputs[unseen], *shuffled(columns, inputs, unseen, generator)]
        errors = [np.square(tree.predict(table) - targets[unseen]).sum() for table in tables]
        losses += np.array(errors[1:]) - errors[0]
    return losses, max(0.0, float(forest.oob_score_))
