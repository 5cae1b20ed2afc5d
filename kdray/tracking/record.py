"""One sweep in MLflow: an experiment, a parent run, a nested run for each trial.

Everything is written from the driver by one thread of its own: SQLite takes one writer, and the
sweep does not wait for it. What happens to a trial while the thread is busy, or while the tracking
server is away, is written together.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from kdray.results.folder import SweepFolder
from kdray.results.records import EpochReport, TrialResult
from kdray.tracking.connecting import connect, read_config
from kdray.tracking.ending import end_trials, measured_sweep, reports, store_files
from kdray.tracking.news import News, ending, measured_epoch, write_news
from kdray.tracking.place import open_parent
from kdray.tracking.registry import register_knee
from kdray.tracking.runs import TrialRuns
from kdray.tracking.store import made_elsewhere, put_in_place
from kdray.tracking.students import keep_front
from kdray.tracking.views import write_front_page
from kdray.tracking.writing import Writer, is_refused

# How long the end of a sweep waits for a server that is away, and for a file that cannot be opened.
SERVER_PATIENCE_S, FILE_PATIENCE_S = 60.0, 5.0


class SweepRecord:
    """Writes a sweep to MLflow; a failure to do so is told once and does not end the sweep.

    What a server that is away did not take is kept and written when it is back. What is not
    written when the sweep ends is written by the next one in the same folder.
    """

    def __init__(self, folder: SweepFolder, uri: str | None, experiment: str | None) -> None:
        self._folder = folder
        self._uri = uri or f"sqlite:///{folder.root.parent.resolve() / 'mlflow.db'}"
        self._experiment = experiment or folder.name
        self._client: Any = None
        self._made: Path | None = None
        self._runs: TrialRuns | None = None
        self._lock = threading.Lock()
        self._news: dict[str, News] = {}
        self._epochs: defaultdict[str, set[int]] = defaultdict(set)
        self._missing: str | None = None
        local = self._uri.startswith("sqlite:")
        self._writer = Writer(self._answers, FILE_PATIENCE_S if local else SERVER_PATIENCE_S)

    @property
    def failure(self) -> str | None:
        """Why something could not be written, in one line; None if all was."""
        reasons = [reason for reason in (self._writer.refusal, self._missing) if reason]
        return f"{self._uri}: {'; '.join(reasons)}" if reasons else None

    @property
    def run_ids(self) -> dict[str, str]:
        """The run of each trial that has one so far."""
        return {} if self._runs is None else dict(self._runs.ids)

    @contextmanager
    def getting_ready(self) -> Iterator[None]:
        """Imports MLflow, and makes its store where there is none, beside the block.

        Nothing of it is to be seen before `open`. If the block fails, nothing is recorded.
        """
        self._writer.do(self._get_ready)
        try:
            yield
        except BaseException:
            self._writer.stop(wait_s=0)
            raise

    def open(self, parameters: Mapping[str, Any]) -> None:
        """Opens the parent run, or the one that a crash left open."""
        self._writer.do(lambda: self._open(parameters))

    def start_trial(self, trial_id: str, parameters: Mapping[str, Any]) -> None:
        """Opens the nested run of a trial."""
        self._tell(trial_id, News(parameters, tags={"status": "running"}, begins=True))

    def log_epoch(self, trial_id: str, report: EpochReport) -> None:
        """Writes the metrics of one epoch."""
        self._epochs[trial_id].add(report.epoch)
        self._tell(trial_id, News(metrics=measured_epoch(report)))

    def finish_trial(self, result: TrialResult, tags: Mapping[str, str] | None = None) -> None:
        """Writes a trial's final metrics and closes its run.

        Args:
            result: How it ended; it is in the sweep's folder.
            tags: More tags of its run, such as `on_front`.
        """
        # Epochs from before a crash may never have been written.
        mends = len(self._epochs.pop(result.trial_id, ())) < result.epochs
        self._tell(result.trial_id, ending(result, tags or {}, mends))

    def tag_trial(self, trial_id: str, tags: Mapping[str, str]) -> None:
        """Tags the run of a trial, also after its end."""
        self._tell(trial_id, News(tags=dict(tags)))

    def finish(self, summary: Mapping[str, Any], complete: bool) -> dict[str, str]:
        """Tags the front, stores report and students, registers the knee, closes what is open.

        A store that is away is waited for, but not for ever; `failure` says what is missing then.

        Args:
            summary: What is in `summary.json`.
            complete: Whether the sweep came to its end; if not its run is KILLED, to be resumed.

        Returns:
            The run of each trial.
        """
        self._end(summary, complete)
        if not self._writer.wait():
            self._missing = (
                f"nothing could be written for a while, and {self._unwritten()} not recorded; "
                f"`kdray resume {self._folder.root}` writes what is missing"
            )
        self._writer.stop()
        return self.run_ids

    def flush(self) -> dict[str, str]:
        """Waits until everything so far is written, and returns the run of each trial.

        A store that is away is waited for, but not for ever; its runs are missing then.
        """
        self._writer.wait()
        return self.run_ids

    def _unwritten(self) -> str:
        if self._runs is None:
            return "the sweep is"
        left = {result.trial_id for result in self._folder.results()} - self._runs.ended
        return f"{len(left)} trials and the end of the sweep are" if left else "its end is"

    def _do(self, task: Callable[[TrialRuns], object]) -> None:
        def if_open() -> None:
            if self._runs is not None:  # else MLflow refused to open the sweep, which is told
                task(self._runs)

        self._writer.do(if_open)

    def _tell(self, trial_id: str, news: News) -> None:
        with self._lock:
            waits = trial_id in self._news
            self._news.setdefault(trial_id, News()).add(news)
        if not waits:
            self._do(partial(self._write_trial, trial_id, []))

    def _write_trial(self, trial_id: str, taken: list[News], runs: TrialRuns) -> None:
        if not taken:  # else it was taken at the first try, and later news have their own task
            with self._lock:
                taken.append(self._news.pop(trial_id))
        try:
            refusal = runs.write(trial_id, taken[0])
        except Exception:
            self._epochs.pop(trial_id, None)  # if this is given up, its end mends it
            raise
        if refusal is not None:
            raise refusal

    def _connected(self) -> Any:
        if self._client is None:
            if made := self._made or made_elsewhere(self._uri):
                put_in_place(made, self._uri)
            self._client = connect(self._uri)
        return self._client

    def _answers(self) -> bool:
        try:
            self._connected().search_experiments(max_results=1)
        except Exception as error:
            return is_refused(error)  # who refuses is there
        return True

    def _get_ready(self) -> None:
        with suppress(Exception):  # what cannot be done now is tried again, and told, by `open`
            self._made = made_elsewhere(self._uri)
            if self._made is None:
                self._connected()
            import_module("mlflow.pyfunc")  # of which students are stored at the end

    def _open(self, parameters: Mapping[str, Any]) -> None:
        client = self._connected()
        place = open_parent(client, self._folder, self._uri, self._experiment, parameters)
        runs = TrialRuns(client, place, self._folder)
        runs.find()
        runs.log_data(place.parent)
        write_front_page(client, place, read_config(self._folder).get("objectives", {}))
        self._runs = runs

    def _end(self, summary: Mapping[str, Any], complete: bool) -> None:
        metrics, stored = measured_sweep(summary), set[Path]()
        folder, front = self._folder, summary["front"]
        self._do(lambda runs: end_trials(runs, folder, summary))
        self._do(lambda runs: write_news(runs.client, runs.place.parent, metrics))
        self._do(lambda runs: store_files(runs, reports(folder), stored))
        self._do(lambda runs: keep_front(runs, folder, front))
        if "knee" in summary:
            self._do(lambda runs: register_knee(runs, folder, summary["knee"]))
        status = "FINISHED" if complete else "KILLED"
        self._do(lambda runs: runs.client.set_terminated(runs.place.parent, status))
