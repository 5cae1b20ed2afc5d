"""One sweep in MLflow: an experiment, a parent run, a nested run for each trial.

Everything is written from the driver by one thread of its own: SQLite takes one writer, and the
sweep does not wait for it.
"""

import json
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdray.results.folder import SweepFolder, write_json
from kdray.results.records import EpochReport, TrialResult

_STATUS = {"completed": "FINISHED", "stopped_early": "FINISHED", "failed": "FAILED"}


@dataclass(frozen=True)
class Place:
    """Where a sweep is recorded.

    Attributes:
        uri: Tracking URI of MLflow.
        experiment_id: The experiment.
        parent: The parent run.
    """

    uri: str
    experiment_id: str
    parent: str


class SweepRecord:
    """Writes a sweep to MLflow; a failure to do so is told once and does not end the sweep."""

    def __init__(self, folder: SweepFolder, uri: str | None, experiment: str | None) -> None:
        self._folder = folder
        self._uri = uri or f"sqlite:///{folder.root.parent.resolve() / 'mlflow.db'}"
        self._experiment = experiment or folder.name
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="mlflow")
        self._client: Any = None
        self._place: Place | None = None
        self._failure: str | None = None
        self.run_ids: dict[str, str] = {}

    @property
    def failure(self) -> str | None:
        """Why something could not be written, in one line; None if all was."""
        return self._failure

    def open(self, parameters: Mapping[str, Any]) -> None:
        """Opens the parent run, or the one that a crash left open."""
        self._do(lambda: self._open(parameters))

    def start_trial(self, trial_id: str, parameters: Mapping[str, Any]) -> None:
        """Opens the nested run of a trial."""
        self._do(lambda: self._start_trial(trial_id, parameters))

    def log_epoch(self, trial_id: str, report: EpochReport) -> None:
        """Writes the metrics of one epoch in one batch."""
        metrics = dict(report.metrics) | {f"train_{k}": v for k, v in report.training.items()}
        self._do(lambda: self._log(trial_id, metrics, report.epoch))

    def finish_trial(self, result: TrialResult) -> None:
        """Writes a trial's final metrics and closes its run."""
        self._do(lambda: self._finish_trial(result))

    def finish(self, summary: Mapping[str, Any], complete: bool) -> dict[str, str]:
        """Tags the front, stores its students, report and verification, closes what is open.

        Args:
            summary: What is in `summary.json`.
            complete: Whether the sweep came to its end; if not its run is KILLED, to be resumed.

        Returns:
            The run of each trial.
        """
        self._do(lambda: self._finish(summary, complete))
        self._writer.shutdown(wait=True)
        return self.run_ids

    def flush(self) -> dict[str, str]:
        """Waits until everything so far is written, and returns the run of each trial."""
        self._do(lambda: None).result()
        return dict(self.run_ids)

    def _do(self, task: Callable[[], None]) -> "Future[None]":
        def safely() -> None:
            try:
                task()
            except Exception as error:  # any store, any network: the sweep goes on
                if self._failure is None:
                    reason = str(error).strip().splitlines()
                    self._failure = f"{self._uri}: {reason[0] if reason else type(error).__name__}"

        return self._writer.submit(safely)

    def _open(self, parameters: Mapping[str, Any]) -> None:
        import mlflow

        logging.getLogger("mlflow").setLevel(logging.ERROR)
        logging.getLogger("alembic").setLevel(logging.ERROR)
        # A server that is away must not hold a sweep for the minutes of MLflow's own patience.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        self._client = mlflow.MlflowClient(self._uri)
        if self._goes_on():
            return
        experiment = self._experiment_id()
        run = self._client.create_run(experiment, run_name=self._folder.name)
        self._place = Place(self._uri, experiment, run.info.run_id)
        write_json(self._folder.tracking_json, vars(self._place))
        self._log_parameters(run.info.run_id, parameters)

    def _goes_on(self) -> bool:
        """Goes on in the runs of before, if the store still has them; a folder may be moved."""
        file = self._folder.tracking_json
        if not file.exists():
            return False
        place = Place(**json.loads(file.read_text(encoding="utf-8")))
        if place.uri != self._uri:
            return False
        try:
            self._client.update_run(place.parent, status="RUNNING")
        except Exception:  # whatever the store says: there is no such run in it
            return False
        self._place = place
        self._find_trials()
        return True

    def _experiment_id(self) -> str:
        found = self._client.get_experiment_by_name(self._experiment)
        if found is not None:
            return str(found.experiment_id)
        local = self._uri.startswith("sqlite:///")
        artifacts = (self._folder.root.parent.resolve() / "mlartifacts").as_uri() if local else None
        return str(self._client.create_experiment(self._experiment, artifact_location=artifacts))

    def _find_trials(self) -> None:
        for run in self._nested():
            trial_id = run.data.tags.get("trial_id")
            if trial_id:
                self.run_ids[trial_id] = run.info.run_id

    def _nested(self) -> list[Any]:
        assert self._place is not None, "open comes first"
        query = f"tags.`mlflow.parentRunId` = '{self._place.parent}'"
        runs: list[Any] = []
        token = None
        while True:
            page = self._client.search_runs(
                [self._place.experiment_id], query, max_results=1000, page_token=token
            )
            runs += page
            token = page.token
            if not token:
                return runs

    def _start_trial(self, trial_id: str, parameters: Mapping[str, Any]) -> None:
        assert self._place is not None, "open comes first"
        if trial_id in self.run_ids:
            self._client.update_run(self.run_ids[trial_id], status="RUNNING")
            return
        tags = {"mlflow.parentRunId": self._place.parent, "trial_id": trial_id, "status": "running"}
        run = self._client.create_run(
            self._place.experiment_id, run_name=trial_name(trial_id, parameters), tags=tags
        )
        self.run_ids[trial_id] = run.info.run_id
        self._log_parameters(run.info.run_id, parameters)

    def _log_parameters(self, run_id: str, parameters: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        params = [Param(name, str(value)[:6000]) for name, value in parameters.items()]
        for start in range(0, len(params), 100):
            self._client.log_batch(run_id, params=params[start : start + 100])

    def _log(self, trial_id: str, metrics: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        batch = [Metric(_safe(name), value, now, step) for name, value in finite.items()]
        self._client.log_batch(self.run_ids[trial_id], metrics=batch)

    def _finish_trial(self, result: TrialResult) -> None:
        if result.trial_id not in self.run_ids:
            self._start_trial(result.trial_id, result.parameters)
        run_id = self.run_ids[result.trial_id]
        try:
            self._log(result.trial_id, result.metrics, result.selected_epoch)
        finally:
            self._client.set_tag(run_id, "status", result.status)
            if result.status == "failed":
                self._client.set_tag(run_id, "stage", result.stage or "")
                self._client.set_tag(run_id, "error", (result.error or "")[:5000])
            self._client.set_terminated(run_id, _STATUS[result.status])

    def _finish(self, summary: Mapping[str, Any], complete: bool) -> None:
        assert self._place is not None, "open comes first"
        try:
            self._finish_trials()
            self._tag_trials(set(summary["front"]))
            self._log_artifacts(set(summary["front"]))
            self._log_summary(summary)
        finally:
            status = "FINISHED" if complete else "KILLED"
            self._client.set_terminated(self._place.parent, status)

    def _finish_trials(self) -> None:
        """Finishes the run of every trial that has a result, whatever was cut off before."""
        ended = {
            run.data.tags.get("trial_id")
            for run in self._nested()
            if run.info.status in _STATUS.values()
        }
        for result in self._folder.results():
            if result.trial_id not in ended:
                self._finish_trial(result)

    def _tag_trials(self, front: set[str]) -> None:
        for run in self._nested():
            trial_id = run.data.tags.get("trial_id", "")
            self._client.set_tag(run.info.run_id, "on_front", str(trial_id in front).lower())
            if run.info.status == "RUNNING":
                self._client.set_tag(run.info.run_id, "status", "interrupted")
                self._client.set_terminated(run.info.run_id, "KILLED")

    def _log_artifacts(self, front: set[str]) -> None:
        assert self._place is not None, "open comes first"
        for trial_id in sorted(front & self.run_ids.keys()):
            student = self._folder.student(trial_id)
            if student.is_dir():
                self._client.log_artifacts(self.run_ids[trial_id], str(student), "student")
        names = ("report.html", "report.md", "pareto.png", "trials.csv", "sweep.yaml")
        paths = [self._folder.root / name for name in names] + [self._folder.verification_json]
        for path in filter(Path.exists, paths):
            self._client.log_artifact(self._place.parent, str(path))

    def _log_summary(self, summary: Mapping[str, Any]) -> None:
        from mlflow.entities import Metric

        assert self._place is not None, "open comes first"
        now = int(time.time() * 1000)
        values = {f"teacher_{name}": value for name, value in summary["teacher"].items()}
        values |= {"hypervolume": summary["hypervolume"], "front_size": len(summary["front"])}
        values |= {f"trials_{name}": count for name, count in summary["trials"].items()}
        batch = [Metric(_safe(name), float(value), now, 0) for name, value in values.items()]
        self._client.log_batch(self._place.parent, metrics=batch)


def trial_name(trial_id: str, parameters: Mapping[str, Any]) -> str:
    """Returns a name that a person can read: the id and the drawn words."""
    words = [str(value) for value in parameters.values() if isinstance(value, str)]
    layers = parameters.get("student.layers")
    return " ".join([trial_id, *([f"{layers} layers"] if layers else []), *words])[:250]


def _safe(name: str) -> str:
    """Returns a metric's name with what MLflow takes amiss replaced by `_`."""
    return "".join(c if c.isalnum() or c in "_-. " else "_" for c in name)
