"""One sweep in MLflow: an experiment, a parent run, a nested run for each trial.

Everything is written from the driver by one thread of its own: SQLite takes one writer, and the
sweep does not wait for it. What happens to a trial while the thread is busy is written together.
"""

import json
import logging
import os
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdray.results.folder import SweepFolder, write_json
from kdray.results.records import EpochReport, TrialResult
from kdray.tracking.news import News, measured, write_news

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
        self._lock = threading.Lock()
        self._news: dict[str, News] = {}
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
        self._tell(trial_id, News(parameters, tags={"status": "running"}, begins=True))

    def log_epoch(self, trial_id: str, report: EpochReport) -> None:
        """Writes the metrics of one epoch."""
        metrics = dict(report.metrics) | {f"train_{k}": v for k, v in report.training.items()}
        self._tell(trial_id, News(metrics=measured(metrics, report.epoch)))

    def finish_trial(self, result: TrialResult, tags: Mapping[str, str] | None = None) -> None:
        """Writes a trial's final metrics and closes its run.

        Args:
            result: How it ended.
            tags: More tags of its run, such as `on_front`.
        """
        self._tell(result.trial_id, _ending(result, tags or {}))

    def tag_trial(self, trial_id: str, tags: Mapping[str, str]) -> None:
        """Tags the run of a trial, also after its end."""
        self._tell(trial_id, News(tags=dict(tags)))

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

    def _tell(self, trial_id: str, news: News) -> None:
        with self._lock:
            self._news.setdefault(trial_id, News()).add(news)
        self._do(lambda: self._write_trial(trial_id))

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
        write_news(self._client, run.info.run_id, News(parameters))

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

    def _write_trial(self, trial_id: str) -> None:
        with self._lock:
            news = self._news.pop(trial_id, None)
        if news is not None:  # else a task of before took it along
            self._write(trial_id, news)

    def _write(self, trial_id: str, news: News) -> None:
        if trial_id not in self.run_ids:
            self._create(trial_id, news)
        else:
            news.parameters = {}
            if news.begins and news.status is None:  # again, in the run of before
                self._client.update_run(self.run_ids[trial_id], status="RUNNING")
        run_id = self.run_ids[trial_id]
        try:
            write_news(self._client, run_id, news)
        except Exception:
            write_news(self._client, run_id, News(tags=news.tags))
            raise
        finally:
            if news.status is not None:
                self._client.set_terminated(run_id, news.status)

    def _create(self, trial_id: str, news: News) -> None:
        assert self._place is not None, "open comes first"
        own = {"mlflow.parentRunId": self._place.parent, "trial_id": trial_id}
        run = self._client.create_run(
            self._place.experiment_id,
            run_name=trial_name(trial_id, news.parameters),
            tags=own | news.tags,
        )
        self.run_ids[trial_id], news.tags = run.info.run_id, {}

    def _finish(self, summary: Mapping[str, Any], complete: bool) -> None:
        assert self._place is not None, "open comes first"
        try:
            self._tag_trials(self._finish_trials(), set(summary["front"]), summary.get("feasible"))
            self._log_artifacts(set(summary["front"]))
            self._log_summary(summary)
        finally:
            status = "FINISHED" if complete else "KILLED"
            self._client.set_terminated(self._place.parent, status)

    def _finish_trials(self) -> list[Any]:
        """Finishes the run of every trial with a result, whatever was cut off; returns all runs."""
        runs = self._nested()
        ended = {
            run.data.tags.get("trial_id") for run in runs if run.info.status in _STATUS.values()
        }
        left = [result for result in self._folder.results() if result.trial_id not in ended]
        for result in left:
            self._write(result.trial_id, _ending(result, {}))
        return self._nested() if left else runs

    def _tag_trials(
        self, runs: list[Any], front: set[str], feasible: Collection[str] | None
    ) -> None:
        for run in runs:
            trial_id, there = run.data.tags.get("trial_id", ""), run.data.tags
            tags = {"on_front": str(trial_id in front).lower()}
            if feasible is not None and there.get("status") == "completed":
                tags["feasible"] = str(trial_id in feasible).lower()
            if run.info.status == "RUNNING":
                tags["status"] = "interrupted"
                self._client.set_terminated(run.info.run_id, "KILLED")
            changed = {name: value for name, value in tags.items() if there.get(name) != value}
            write_news(self._client, run.info.run_id, News(tags=changed))

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
        assert self._place is not None, "open comes first"
        values = {f"teacher_{name}": value for name, value in summary["teacher"].items()}
        values |= {"hypervolume": summary["hypervolume"], "front_size": len(summary["front"])}
        values |= {f"trials_{name}": count for name, count in summary["trials"].items()}
        write_news(self._client, self._place.parent, News(metrics=measured(values, 0)))


def _ending(result: TrialResult, tags: Mapping[str, str]) -> News:
    """Returns what is written when a trial has ended."""
    told = {"status": result.status, **tags}
    if result.status == "failed":
        told |= {"stage": result.stage or "", "error": result.error or ""}
    metrics = measured(result.metrics, result.selected_epoch)
    return News(result.parameters, metrics, told, _STATUS[result.status])


def trial_name(trial_id: str, parameters: Mapping[str, Any]) -> str:
    """Returns a name that a person can read: the id and the drawn words."""
    words = [str(value) for value in parameters.values() if isinstance(value, str)]
    layers = parameters.get("student.layers")
    return " ".join([trial_id, *([f"{layers} layers"] if layers else []), *words])[:250]
