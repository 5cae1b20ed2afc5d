"""The nested runs of a sweep's trials: made once, written once, whatever is cut off or repeated."""

from collections.abc import Mapping
from typing import Any

from kdray.results.folder import SweepFolder
from kdray.tracking.dataset import dataset_input
from kdray.tracking.news import (
    STATUS,
    News,
    measured_epoch,
    measured_place,
    write_what_is_taken,
)
from kdray.tracking.place import Place

# Name, step and value of a metric: what is the same when an epoch is written again.
Told = tuple[str, int, float]


class TrialRuns:
    """Writes what happens to trials into their runs. Only one thread may use it.

    Attributes:
        client: MLflow's client.
        place: Where the sweep is recorded.
        ids: The run of each trial.
        ended: The trials whose run says how they ended.
    """

    def __init__(self, client: Any, place: Place, folder: SweepFolder) -> None:
        self.client = client
        self.place = place
        self._folder = folder
        self._data = dataset_input(folder)
        self._doubtful: set[str] = set()
        self._described: set[str] = set()
        self._told: dict[str, set[Told]] = {}
        self.ids: dict[str, str] = {}
        self.ended: set[str] = set()

    def find(self) -> list[Any]:
        """Returns the runs that are in the store, one a trial, and goes on in them.

        A run that is there twice, because its making was answered too late, is deleted.
        """
        kept = []
        for run in self._search():
            trial_id = run.data.tags.get("trial_id")
            if trial_id is None:  # a person's own
                continue
            if self.ids.setdefault(trial_id, run.info.run_id) == run.info.run_id:
                kept.append(run)
                if run.data.params:
                    self._described.add(trial_id)
                if run.info.status in STATUS.values():
                    self.ended.add(trial_id)
            else:
                self.client.delete_run(run.info.run_id)
        return kept

    def write(self, trial_id: str, news: News) -> Exception | None:
        """Writes news of a trial; may be done again with the same news.

        Returns:
            Why MLflow refused a part of it, or None.
        """
        place = measured_place(news.tags)
        if trial_id not in self.ids:
            self._create(trial_id, news)
        elif news.begins:
            self._begin_again(trial_id, news)
        if news.mends:
            self._mend(trial_id, news)
        run_id = self.ids[trial_id]
        untold = self._untold(trial_id, news)
        untold.metrics = untold.metrics + place
        refusal = write_what_is_taken(self.client, run_id, untold)
        if trial_id in self._told:
            self._told[trial_id] |= {(name, step, value) for name, value, _, step in untold.metrics}
        if news.parameters:
            self._described.add(trial_id)
        if news.status is not None:
            self.client.set_terminated(run_id, news.status)
            self._told.pop(trial_id, None)
            self.ended.add(trial_id)
        return refusal

    def log_data(self, run_id: str) -> None:
        """Tells which data a run had, if that is known; telling it again changes nothing."""
        if self._data is not None:
            self.client.log_inputs(run_id, [self._data])

    def _create(self, trial_id: str, news: News) -> None:
        late = self._search(trial_id) if trial_id in self._doubtful else []
        self._doubtful.add(trial_id)
        if late:
            self.ids[trial_id] = late[0].info.run_id
        else:
            own = {"mlflow.parentRunId": self.place.parent, "trial_id": trial_id}
            run = self.client.create_run(
                self.place.experiment_id,
                run_name=trial_name(trial_id, news.parameters),
                tags=own | news.tags,
            )
            self.ids[trial_id], news.tags = run.info.run_id, {}
        self._doubtful.discard(trial_id)
        news.begins = False
        self.log_data(self.ids[trial_id])

    def _begin_again(self, trial_id: str, news: News) -> None:
        self.ended.discard(trial_id)
        self._told[trial_id] = self._history(trial_id)
        if news.status is None:
            self.client.update_run(self.ids[trial_id], status="RUNNING")

    def _mend(self, trial_id: str, news: News) -> None:
        """Adds every epoch of a trial that has ended, from the sweep's folder."""
        if trial_id not in self._told:
            self._told[trial_id] = self._history(trial_id)
        epochs = self._folder.epochs(trial_id)
        news.metrics = [it for epoch in epochs for it in measured_epoch(epoch)] + news.metrics
        news.mends = False

    def _untold(self, trial_id: str, news: News) -> News:
        metrics = news.metrics
        if trial_id in self._told:
            told = self._told[trial_id]
            by_value = {(name, step, value): it for it in metrics for name, value, _, step in [it]}
            metrics = [it for key, it in by_value.items() if key not in told]
        parameters = {} if trial_id in self._described else news.parameters
        return News(parameters, metrics, news.tags)

    def _history(self, trial_id: str) -> set[Told]:
        run_id = self.ids[trial_id]
        names = self.client.get_run(run_id).data.metrics
        histories = [self.client.get_metric_history(run_id, name) for name in names]
        return {(it.key, it.step, it.value) for history in histories for it in history}

    def _search(self, trial_id: str | None = None) -> list[Any]:
        query = f"tags.`mlflow.parentRunId` = '{self.place.parent}'"
        if trial_id is not None:
            query += f" and tags.trial_id = '{trial_id}'"
        runs: list[Any] = []
        token = None
        while True:
            page = self.client.search_runs(
                [self.place.experiment_id], query, max_results=1000, page_token=token
            )
            runs += page
            token = page.token
            if not token:
                return runs


def trial_name(trial_id: str, parameters: Mapping[str, Any]) -> str:
    """Returns a name that a person can read: the id and the drawn words."""
    words = [str(value) for value in parameters.values() if isinstance(value, str)]
    layers = parameters.get("student.layers")
    return " ".join([trial_id, *([f"{layers} layers"] if layers else []), *words])[:250]
