"""The two tables of a sweep: `trials.csv`, a row a trial, and `summary.json`, the sweep in short.

The front is decided on the validation metrics of completed trials that keep to the constraints. A
test metric decides nothing.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypedDict, get_args

import numpy as np

from kdray.reporting.baselines import baseline_summaries
from kdray.reporting.headline import quality_metric
from kdray.reporting.objectives import OBJECTIVES, ideal_point, reference_point
from kdray.reporting.pareto import (
    Direction,
    FloatArray,
    knee,
    non_dominated,
    normalised_hypervolume,
)
from kdray.reporting.reading import read_sweep, read_verification
from kdray.results.feasibility import Bounds, is_feasible, total_violation
from kdray.results.folder import SweepFolder, write_file, write_json
from kdray.results.records import Status, TrialResult

_FIXED = [
    "trial_id",
    "status",
    "stage",
    "error",
    "epochs",
    "duration_s",
    "ended_at",
    "prune_s",
    "distil_s",
    "evaluate_s",
    "on_front",
    "mlflow_run_id",
]


class Ended(TypedDict, total=False):
    """How a sweep ended.

    Attributes:
        complete: Whether it came to its end; not there where that is not known.
        out_of_time: There if it did not because `search.time_budget_s` was over.
    """

    complete: bool
    out_of_time: bool


def write_tables(
    folder: SweepFolder,
    *,
    duration_s: float,
    busy_s: float,
    run_ids: Mapping[str, str] | None = None,
    ended: Ended | None = None,
) -> dict[str, Any]:
    """Writes `trials.csv` and `summary.json` from the results in the folder.

    Args:
        folder: The sweep's folder, with `sweep.yaml`, `teacher/verification.json` and trials.
        duration_s: Seconds from the start of the sweep to its end.
        busy_s: Seconds that its slots were at work, over all slots.
        run_ids: MLflow run of each trial, by the trial's id.
        ended: How the sweep ended; None where that is not known.

    Returns:
        What is in `summary.json`.

    Raises:
        ConfigError: A file that every sweep has is not in the folder.
        SweepError: The teacher has no value of an objective.
    """
    config = read_sweep(folder)["config"]
    objectives: dict[str, Direction] = config["objectives"]
    constraints: Bounds = config.get("constraints", {})
    verification = read_verification(folder)
    results = folder.results()
    front = front_ids(results, objectives, constraints)
    metric = quality_metric(objectives, verification["metrics"])
    on_front = [result for result in results if result.trial_id in front]
    baselines = baseline_summaries(folder, on_front, config, metric)
    statuses = [result.status for result in results]
    summary = {
        "name": folder.name,
        "teacher": verification["metrics"],
        "trials": {status: statuses.count(status) for status in get_args(Status)},
        "hypervolume": front_hypervolume(results, objectives, verification, constraints),
        "reference_point": reference_point(objectives, verification),
        "front": front,
        **({"knee": _knee(results, front, objectives)} if front else {}),
        **_feasibility(results, constraints),
        **({"baselines": baselines} if baselines else {}),
        "teacher_forward_examples": _teacher_examples(verification, results),
        "teacher_outputs": verification.get("teacher_outputs", {}),
        **_ensemble(verification),
        **_labelled(verification),
        "duration_s": duration_s,
        "busy_s": busy_s,
        **(ended or {}),
    }
    rows = [
        _row(result, front, (run_ids or {}).get(result.trial_id))
        | _mark(result, constraints)
        | baselines.get(result.trial_id, {}).get("metrics", {})
        for result in results
    ]
    beside = {name for row in baselines.values() for name in row.get("metrics", {})}
    _write_rows(folder, rows, _columns(results, objectives, constraints, beside))
    write_json(folder.summary_json, summary)
    return summary


def _ensemble(verification: Mapping[str, Any]) -> dict[str, Any]:
    """Returns who teaches together, each with its weight and metrics; nothing for one teacher."""
    members = verification.get("members", ())
    known = ("model", "weight", "metrics")
    found = [{key: member[key] for key in known} for member in members]
    return {"teacher_members": found} if found else {}


def _labelled(verification: Mapping[str, Any]) -> dict[str, float]:
    """Returns which share of the texts that are learnt from has labels; nothing if all have."""
    share = float(verification.get("labelled_share", 1))
    return {"labelled_share": share} if share < 1 else {}


def _teacher_examples(verification: Mapping[str, Any], results: Sequence[TrialResult]) -> int:
    """Returns what the teacher was run on before the trials and in them."""
    in_loop = sum(result.teacher_forward_examples for result in results)
    return int(verification["forward_examples"]) + in_loop


def front_ids(
    results: Sequence[TrialResult],
    objectives: Mapping[str, Direction],
    constraints: Bounds | None = None,
) -> list[str]:
    """Returns the ids of the trials on the front, the smallest student first.

    They are sorted by the first minimised objective; if none is minimised, by the second
    objective, or the only one; equal ones by their ids.

    Args:
        results: Trials of any status; only completed ones with every objective can be on it.
        objectives: Direction of each objective, each a validation metric.
        constraints: What a trial on the front keeps to.
    """
    completed, points = _completed(results, objectives, constraints)
    on_front = np.flatnonzero(non_dominated(points, list(objectives.values())))
    keys = points[:, _sorting_column(list(objectives.values()))]
    return [
        completed[row].trial_id
        for row in sorted(on_front, key=lambda row: (keys[row], completed[row].trial_id))
    ]


def _knee(
    results: Sequence[TrialResult], front: Sequence[str], objectives: Mapping[str, Direction]
) -> str:
    """The best compromise of the front; of the same row as `kdray best` without constraints."""
    metrics = {result.trial_id: result.metrics for result in results}
    points = [[metrics[trial_id][name] for name in objectives] for trial_id in front]
    return front[knee(points, list(objectives.values()))]


def _completed(
    results: Sequence[TrialResult],
    objectives: Mapping[str, Direction],
    constraints: Bounds | None,
) -> tuple[list[TrialResult], FloatArray]:
    """Completed feasible trials, and their objectives of shape (trials, objectives)."""
    completed = [
        result
        for result in results
        if result.status == "completed" and is_feasible(result.metrics, constraints or {})
    ]
    rows = [[result.metrics.get(name, np.nan) for name in objectives] for result in completed]
    return completed, np.array(rows, dtype=np.float64).reshape(len(rows), len(objectives))


def _sorting_column(directions: Sequence[Direction]) -> int:
    if "minimize" in directions:
        return directions.index("minimize")
    return min(1, len(directions) - 1)


def front_hypervolume(
    results: Sequence[TrialResult],
    objectives: Mapping[str, Direction],
    verification: Mapping[str, Any],
    constraints: Bounds | None = None,
) -> float:
    """Returns the normalised hypervolume of what is completed and feasible, 0 where nothing is.

    Args:
        results: Results of a sweep.
        objectives: Direction of each objective.
        verification: What is in `teacher/verification.json`.
        constraints: What a feasible trial keeps to.
    """
    return normalised_hypervolume(
        _completed(results, objectives, constraints)[1],
        list(reference_point(objectives, verification).values()),
        list(ideal_point(objectives, verification).values()),
        list(objectives.values()),
    )


def _feasibility(results: Sequence[TrialResult], constraints: Bounds) -> dict[str, Any]:
    """The feasible trials; if there are none, the one that is nearest to the constraints."""
    if not constraints:
        return {}
    completed = [result for result in results if result.status == "completed"]
    feasible = [r.trial_id for r in completed if is_feasible(r.metrics, constraints)]
    if feasible or not completed:
        return {"feasible": feasible}
    nearest = min(completed, key=lambda result: total_violation(result.metrics, constraints))
    return {"feasible": [], "nearest": nearest.trial_id}


def _mark(result: TrialResult, constraints: Bounds) -> dict[str, bool]:
    if result.status != "completed" or not constraints:
        return {}
    return {"feasible": is_feasible(result.metrics, constraints)}


def _row(result: TrialResult, front: Sequence[str], run_id: str | None) -> dict[str, Any]:
    fixed = {
        "trial_id": result.trial_id,
        "status": result.status,
        "stage": result.stage,
        "error": result.error,
        "epochs": result.epochs,
        "duration_s": result.duration_s,
        "ended_at": result.ended_at,
        **{f"{stage}_s": seconds for stage, seconds in result.stage_s.items()},
        "on_front": result.trial_id in front,
        "mlflow_run_id": run_id,
    }
    drawn = {name: _cell(value) for name, value in result.parameters.items()}
    return {**drawn, **result.metrics, **fixed}


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def _columns(
    results: Sequence[TrialResult],
    objectives: Mapping[str, Direction],
    constraints: Bounds,
    beside: Collection[str] = (),
) -> list[str]:
    order = list(dict.fromkeys([*objectives, *OBJECTIVES]))

    def place(metric: str) -> tuple[bool, int, str]:
        name = metric.removeprefix("test_")
        return metric != name, order.index(name) if name in order else len(order), name

    parameters = {name for result in results for name in result.parameters}
    metrics = {name for result in results for name in result.metrics}.union(beside)
    fixed = [*_FIXED, *(["feasible"] if constraints else [])]
    return [*fixed, *sorted(parameters), *sorted({*metrics, *objectives}, key=place)]


def _write_rows(folder: SweepFolder, rows: list[dict[str, Any]], columns: list[str]) -> None:
    import pandas as pd

    # Of dtype object, so that an integer beside an empty cell is written as an integer.
    table = pd.DataFrame(rows, columns=columns, dtype=object)
    write_file(folder.trials_csv, lambda path: table.to_csv(path, index=False, lineterminator="\n"))
