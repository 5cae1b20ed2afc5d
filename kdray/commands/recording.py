"""What `kdray report` and `kdray confirm` have written, in MLflow too."""

import json

from rich.console import Console

from kdray.reporting.confirmation import interval_of
from kdray.reporting.headline import quality_metric
from kdray.reporting.reading import read_summary, read_sweep
from kdray.results.folder import SweepFolder


def record_again(folder: SweepFolder) -> None:
    """Stores the report of a sweep in its run once more; says so where that cannot be done."""
    if not folder.tracking_json.is_file():
        return
    from kdray.tracking.again import store_again

    if reason := store_again(folder, confirmed_metrics(folder)):
        message = f"warning: MLflow does not have the report as it is now: {reason}"
        Console(stderr=True).print(message, markup=False, highlight=False, soft_wrap=True)


def confirmed_metrics(folder: SweepFolder) -> dict[str, dict[str, float]]:
    """Returns what each trial reaches with other seeds: `confirmed_macro_f1` and so on.

    Returns:
        By trial the means on validation and on test, half the width of their intervals, and
        `confirmed_seeds`: how many there are.
    """
    if not folder.confirmation_json.is_file():
        return {}
    trials = json.loads(folder.confirmation_json.read_text(encoding="utf-8"))["trials"]
    objectives = read_sweep(folder)["config"]["objectives"]
    metric = quality_metric(objectives, read_summary(folder)["teacher"])
    found: dict[str, dict[str, float]] = {}
    for trial_id, runs in trials.items():
        told = {name: interval_of(runs, name) for name in (metric, f"test_{metric}")}
        found[trial_id] = {"confirmed_seeds": float(told[metric].runs)}
        for name, one in told.items():
            found[trial_id][f"confirmed_{name}"] = one.mean
            found[trial_id][f"confirmed_{name}_half_width"] = one.half_width
    return found
