"""Label-only baselines in tables and report: what the teacher of each student on the front adds.

A baseline is the same student, pruned alike and with the same seed, trained without a teacher. It
lies in `baselines/TRIAL_ID/` of the sweep's folder and is neither a trial nor on the front.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kdray.reporting.formats import MISSING, is_missing, measured
from kdray.results.folder import SweepFolder
from kdray.results.records import TrialResult

Row = Mapping[str, Any]
Column = tuple[str, bool, Callable[[Row], str]]

_METHOD = "distillation.method"
ALONE = (
    "“Labels only” is the same student, pruned alike and with the same seed, trained without the "
    "teacher; the gain is what the teacher adds."
)


def baseline_summaries(
    folder: SweepFolder, front: Sequence[TrialResult], config: Mapping[str, Any], metric: str
) -> dict[str, dict[str, Any]]:
    """Returns what is known of the baseline of each trial on the front, by the trial's id.

    A trial that learnt without a teacher is its own, and left out.

    Args:
        folder: The sweep's folder.
        front: The trials on the front.
        config: `config` of `sweep.yaml`.
        metric: The validation metric that is the quality.

    Returns:
        `status` (`completed`, `failed` or `not_run`) with `metrics` and `duration_s`, `stage` and
        `error`, or `reason`. Nothing at all if `evaluation.baselines` is not asked for.
    """
    if not (config.get("evaluation") or {}).get("baselines", False):
        return {}
    baselines = {result.trial_id: result for result in folder.baselines.results()}
    return {
        result.trial_id: _summary(baselines.get(result.trial_id), config, metric)
        for result in front
        if _method(result, config) != "none"
    }


def baseline_columns(front: Sequence[Row], metric: str) -> list[Column]:
    """Returns the columns of the front's table that set a student beside its baseline.

    Args:
        front: Rows of `trials.csv`.
        metric: The validation metric that is the quality.
    """
    tested = any(not is_missing(row.get(f"test_baseline_{metric}")) for row in front)
    prefix, split = ("test_", "test") if tested else ("", "validation")
    mine, its = prefix + metric, f"{prefix}baseline_{metric}"

    def gain(row: Row) -> str:
        values = row.get(mine), row.get(its)
        return MISSING if any(map(is_missing, values)) else f"{row[mine] - row[its]:+.3f}"

    return [
        (f"labels only, {split}", True, lambda row: measured(metric, row.get(its))),
        ("gain of the teacher", True, gain),
    ]


def twins_said(summaries: Sequence[Mapping[str, Any]]) -> str:
    """Returns what “labels only” is in the tables of some sweeps; nothing where none has any."""
    return ALONE if any(summary.get("baselines") for summary in summaries) else ""


def baselines_said(summary: Mapping[str, Any]) -> str:
    """Returns what a report says of the baselines; nothing where there are none to be had."""
    found: Mapping[str, Row] = summary.get("baselines", {})
    if not found:
        return ""
    said = [ALONE, *filter(None, [steps_said(summary)])]
    failed = [f"{i} ({b['stage']}: {b['error']})" for i, b in found.items() if "error" in b]
    if failed:
        said.append(f"It failed for {', '.join(failed)}.")
    left = [trial_id for trial_id, one in found.items() if one["status"] == "not_run"]
    if left:
        said.append(f"It was not run for {', '.join(left)}: {found[left[0]]['reason']}.")
    return " ".join(said)


def steps_said(summary: Mapping[str, Any]) -> str:
    """Returns what a baseline's training lacks besides the teacher; nothing if nothing does.

    Args:
        summary: `summary.json`; its `labelled_share` is that of the steps too, as a baseline has
            as many epochs.
    """
    share = summary.get("labelled_share")
    if share is None:
        return ""
    return f"It trains without the unlabelled texts, so with {100 * share:.2g} % of the steps."


def _method(result: TrialResult, config: Mapping[str, Any]) -> Any:
    section = config.get("distillation")
    fixed = section.get("method") if isinstance(section, Mapping) else None
    return result.parameters.get(_METHOD, fixed)


def _summary(
    baseline: TrialResult | None, config: Mapping[str, Any], metric: str
) -> dict[str, Any]:
    if baseline is None:
        timed = (config.get("search") or {}).get("time_budget_s") is not None
        over = "search.time_budget_s was over, or " if timed else ""
        return {"status": "not_run", "reason": f"{over}the sweep was stopped before it"}
    if baseline.status != "completed":
        return {"status": baseline.status, "stage": baseline.stage, "error": baseline.error}
    names = {metric: f"baseline_{metric}", f"test_{metric}": f"test_baseline_{metric}"}
    metrics = {new: baseline.metrics[old] for old, new in names.items() if old in baseline.metrics}
    return {"status": "completed", "metrics": metrics, "duration_s": baseline.duration_s}
