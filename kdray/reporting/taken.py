"""What is said of a student that is taken away, whatever format it leaves in."""

from collections.abc import Mapping
from typing import Any

from kdray.reporting.confidence import other_seeds_said
from kdray.reporting.formats import MISSING, measured, percent, short
from kdray.reporting.headline import quality_metric, sentence
from kdray.reporting.objectives import objective
from kdray.reporting.reading import read_summary, read_sweep
from kdray.reporting.stored import WEIGHTS, stored_as
from kdray.reporting.students import front_of, read
from kdray.results.folder import SweepFolder
from kdray.results.records import TrialResult


def headline_of(folder: SweepFolder, result: TrialResult, exported: Mapping[str, Any]) -> str:
    """Returns the headline of a student.

    Args:
        folder: The sweep's folder.
        result: The trial that made it.
        exported: What is known of it in ONNX; empty for one that stays as it is.
    """
    config, teacher = read_sweep(folder)["config"], read_summary(folder)["teacher"]
    metric = quality_metric(config["objectives"], teacher)
    if exported:
        return _exported(metric, result.metrics, teacher, exported)
    row = {**result.metrics, **result.parameters}
    row[WEIGHTS] = stored_as(row, config)
    return sentence(row, teacher, metric)


def other_seeds_of(folder: SweepFolder, trial_id: str) -> str:
    """Returns what other seeds say of a trial of the front; nothing where none were tried."""
    if not folder.confirmation_json.is_file():
        return ""
    front = front_of([read(folder)])
    return next((other_seeds_said(it) for it in front if it.id == trial_id), "")


def _exported(
    metric: str,
    student: Mapping[str, float],
    teacher: Mapping[str, float],
    exported: Mapping[str, Any],
) -> str:
    """The headline of a graph, with its own quality, size and speed."""
    form, test = exported["format"], f"test_{metric}"
    value = exported["test"].get(metric, (None,))[0]
    if value is None and form == "onnx":  # what its logits say is what torch's say
        value = student.get(test)
    at = f"{short(exported['size_mb'])} MB in {form}"
    fast = f"{exported['speedup']:.1f} times as fast as in torch"
    if value is None:
        return f"{at}, {fast}; its quality was not measured"
    kept = percent(value / teacher[test]) if teacher.get(test) else MISSING
    said = f"{measured(metric, value)} {objective(metric).label} on test at {at}"
    return f"{said}: {kept} of the teacher, {fast}" if kept != MISSING else f"{said}, {fast}"
