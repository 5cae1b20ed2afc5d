"""What trials were worth after each epoch, kept up to date as they report.

A rule asks for that at every report: what has not changed is not gone through again, so that a
report costs as much in a sweep of a thousand trials as in a short one.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, TypeVar

import numpy as np

from kdray.reporting.pareto import FloatArray
from kdray.results.records import EpochReport
from kdray.sweep.schedulers.history import Criteria, History, best_epoch

Found = TypeVar("Found")


class Standing:
    """What each trial was worth after one epoch, a row a trial, in the order of the ids.

    Args:
        names: The objectives, a column each.

    Attributes:
        ids: The trials.
        values: Their values, shape (trials, objectives); NaN for one that is missing.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._column = {name: index for index, name in enumerate(names)}
        self._found: dict[Any, Any] = {}
        self.ids: list[str] = []
        self.values: FloatArray = np.empty((0, len(names)))

    def __contains__(self, trial_id: object) -> bool:
        return self.row(str(trial_id)) is not None

    def row(self, trial_id: str) -> int | None:
        """Returns the row of a trial, None if it has none."""
        place = self._place(trial_id)
        return place if self.ids[place : place + 1] == [trial_id] else None

    def of(self, names: Sequence[str]) -> FloatArray:
        """Returns the values of some of the objectives, in their order."""
        return self.values[:, [self._column[name] for name in names]]

    def put(self, trial_id: str, row: Sequence[float] | None) -> None:
        """Gives a trial a row, or another one, or takes it away."""
        place, there = self._place(trial_id), trial_id in self
        self._found.clear()
        if there:
            del self.ids[place]
            self.values = np.delete(self.values, place, axis=0)
        if row is not None:
            self.ids.insert(place, trial_id)
            self.values = np.insert(self.values, place, row, axis=0)

    def once(self, key: Any, compute: Callable[[], Found]) -> Found:
        """Returns what was computed of these rows; it is done again when a row has changed.

        Args:
            key: Tells what is computed from what else is.
            compute: Computes it.
        """
        if key not in self._found:
            self._found[key] = compute()
        found: Found = self._found[key]
        return found

    def _place(self, trial_id: str) -> int:
        return bisect_left(self.ids, _in_order(trial_id), key=_in_order)


class Standings(MutableMapping[str, Sequence[EpochReport]]):
    """The reports of each trial, by its id, and what each was worth after each epoch.

    Args:
        criteria: What trials are compared in.
        history: The reports of those that are known so far.
    """

    def __init__(self, criteria: Criteria, history: History | None = None) -> None:
        self._criteria = criteria
        self._reports: dict[str, Sequence[EpochReport]] = {}
        self._after: dict[int, Standing] = {}
        self.update(history or {})

    def __getitem__(self, trial_id: str) -> Sequence[EpochReport]:
        return self._reports[trial_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._reports)

    def __len__(self) -> int:
        return len(self._reports)

    def __delitem__(self, trial_id: str) -> None:
        del self._reports[trial_id]
        for standing in self._after.values():
            standing.put(trial_id, None)

    def __setitem__(self, trial_id: str, reports: Sequence[EpochReport]) -> None:
        known = self._reports.get(trial_id, ())
        if list(reports[: len(known)]) != list(known):
            del self[trial_id]
            known = ()
        self._reports[trial_id] = reports
        for count in range(len(known) + 1, len(reports) + 1):
            self._reported(trial_id, reports[:count])

    def after(self, epoch: int) -> Standing:
        """Returns what each trial was worth after an epoch: the values of its best epoch so far.

        That is what a finished trial is worth. Trials that have not come so far are left out, and
        so are those that end there: their learning rate has decayed, which makes the same epoch
        worth more than to a trial that goes on. So are those that were being pruned in that epoch.

        Args:
            epoch: Epochs done, those of earlier generations and of hints not counted.
        """
        if epoch not in self._after:
            self._after[epoch] = Standing(list(self._criteria.objectives))
        return self._after[epoch]

    def _reported(self, trial_id: str, reports: Sequence[EpochReport]) -> None:
        """Brings the standings up to date with the last of these reports of a trial."""
        last = reports[-1].counted
        later = [
            epoch for epoch, found in self._after.items() if epoch > last and trial_id in found
        ]
        for epoch in (last, *later):
            worth = _worth_after(reports, epoch, self._criteria)
            if worth is not None or trial_id in self.after(epoch):
                self.after(epoch).put(trial_id, worth)


def _worth_after(
    reports: Sequence[EpochReport], epoch: int, criteria: Criteria
) -> list[float] | None:
    until = [one for one in reports if one.counted <= epoch < one.to_count]
    if not until or until[-1].counted != epoch or until[-1].rising:
        return None
    metrics: Mapping[str, float] = best_epoch(until, criteria.selection_metric).metrics
    return [metrics.get(name, math.nan) for name in criteria.objectives]


def _in_order(trial_id: str) -> tuple[int, str]:
    return len(trial_id), trial_id
