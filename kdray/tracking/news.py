"""What is to be written to one MLflow run, gathered so that it takes few calls.

Each call is a transaction of its own, which costs the same for one tag as for a hundred values.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from kdray.results.records import EpochReport, TrialResult
from kdray.tracking.writing import is_refused

# MLflow's word for how a trial ended.
STATUS = {"completed": "FINISHED", "stopped_early": "FINISHED", "failed": "FAILED"}
_METRICS, _OTHERS = 500, 100


@dataclass
class News:
    """What happened to a trial since its run was last written.

    Attributes:
        parameters: Drawn values, for a run that is not there yet.
        metrics: Name, value, time in ms since 1970, and step of each; only finite values.
        tags: Tags to set.
        status: MLflow's word for how the trial ended; None while it runs.
        begins: Whether the trial began.
        mends: Whether epochs may be missing, to be read from the sweep's folder.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: list[tuple[str, float, int, int]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    status: str | None = None
    begins: bool = False
    mends: bool = False

    def add(self, later: "News") -> None:
        """Takes in what happened later."""
        self.parameters = later.parameters or self.parameters
        self.metrics += later.metrics
        self.tags |= later.tags
        self.status = later.status or self.status
        self.begins = later.begins or self.begins
        self.mends = later.mends or self.mends


def measured(metrics: Mapping[str, float], step: int) -> list[tuple[str, float, int, int]]:
    """Returns metrics of now as `News` holds them, with names that MLflow takes."""
    now = int(time.time() * 1000)
    finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
    return [(_safe(name), value, now, step) for name, value in finite.items()]


def measured_epoch(report: EpochReport) -> list[tuple[str, float, int, int]]:
    """Returns what an epoch measured as `News` holds it."""
    training = {f"train_{name}": value for name, value in report.training.items()}
    return measured({**report.metrics, **training}, report.epoch)


def ending(result: TrialResult, tags: Mapping[str, str], mends: bool) -> News:
    """Returns what is written when a trial has ended."""
    told = {"status": result.status, **tags}
    if result.status == "failed":
        told |= {"stage": result.stage or "", "error": result.error or ""}
    metrics = measured(result.metrics, final_step(result))
    return News(result.parameters, metrics, told, STATUS[result.status], mends=mends)


def final_step(result: TrialResult) -> int:
    """Returns the step of a trial's final metrics: after its last epoch.

    MLflow shows, sorts and filters by the value of the last step, which has to be that of the
    selected epoch, whichever it was.
    """
    return result.epochs + 1


def measured_place(tags: Mapping[str, str]) -> list[tuple[str, float, int, int]]:
    """Returns the tag `on_front`, if it is there, as a metric: 1 or 0, to sort and filter by."""
    if "on_front" not in tags:
        return []
    return measured({"on_front": float(tags["on_front"] == "true")}, 0)


def write_news(client: Any, run_id: str, news: News) -> None:
    """Writes parameters, metrics and tags in as few calls as MLflow's limits allow.

    Writing the same news again changes nothing: MLflow knows a metric by its time, too.
    """
    from mlflow.entities import Metric, Param, RunTag

    metrics = [Metric(*metric) for metric in news.metrics]
    params = [Param(name, str(value)[:6000]) for name, value in news.parameters.items()]
    tags = [RunTag(name, value[:5000]) for name, value in news.tags.items()]
    parts = (_parts(metrics, _METRICS), _parts(params, _OTHERS), _parts(tags, _OTHERS))
    for some_metrics, some_params, some_tags in zip_longest(*parts, fillvalue=()):
        client.log_batch(run_id, metrics=some_metrics, params=some_params, tags=some_tags)


def write_what_is_taken(client: Any, run_id: str, news: News) -> Exception | None:
    """Writes news; if MLflow refuses a part of it, the other parts all the same.

    Returns:
        The first refusal, or None if everything was taken.
    """
    first = _refusal(client, run_id, news)
    if first is not None:
        for piece in (News(news.parameters), News(metrics=news.metrics), News(tags=news.tags)):
            _refusal(client, run_id, piece)
    return first


def _refusal(client: Any, run_id: str, news: News) -> Exception | None:
    try:
        write_news(client, run_id, news)
    except Exception as error:
        if not is_refused(error):
            raise
        return error
    return None


def _parts(values: list[Any], size: int) -> list[list[Any]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def _safe(name: str) -> str:
    """Returns a metric's name with what MLflow takes amiss replaced by `_`."""
    return "".join(c if c.isalnum() or c in "_-. " else "_" for c in name)
