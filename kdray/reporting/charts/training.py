"""How the students of the front learnt, epoch by epoch."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np

from kdray.reporting.charts.base import Chart, Read, Role, Series
from kdray.reporting.charts.trials import is_better_high, levels, quality_axis
from kdray.reporting.formats import measured
from kdray.reporting.objectives import objective
from kdray.reporting.students import chosen_of, front_of, quality_of
from kdray.results.records import EpochReport

# Epochs of a moving average; students that are drawn; a gain that is none to speak of.
WINDOW, MOST, FLAT = 3, 6, 0.005


@dataclass(frozen=True)
class Course:
    """The epochs of one student.

    Attributes:
        trial_id: Its trial.
        judged: Epochs that could be selected, with their quality.
        rising: Those before, while pruning, hints or an earlier generation still went on.
    """

    trial_id: str
    judged: Sequence[tuple[int, float]]
    rising: Sequence[tuple[int, float]]

    @property
    def averages(self) -> list[float]:
        """The mean of each judged epoch and the two before it, as far as there are two."""
        values = [value for _, value in self.judged]
        return [fmean(values[max(0, n - WINDOW + 1) : n + 1]) for n in range(len(values))]


def training_charts(sweep: Read) -> list[Chart]:
    """Returns the quality over epochs of the students on the front, of some if they are many."""
    metric = quality_of(sweep)
    front = [student.id for student in front_of([sweep])]
    courses = [_course(sweep, trial_id, metric) for trial_id in _some(front, sweep)]
    known = [course for course in courses if len(course.judged) > 1]
    if not known:
        return []
    chart = Chart(
        name="training",
        title="Training of the students on the front",
        says=_says(sweep, known, len(front)),
        x="epoch",
        y=quality_axis(sweep),
        series=_series(sweep, known),
        lines={name: value for name, value in levels(sweep).items() if name == "teacher"},
    )
    return [chart]


def _course(sweep: Read, trial_id: str, metric: str) -> Course:
    epochs = [one for one in sweep.folder.epochs(trial_id) if metric in one.metrics]
    return Course(
        trial_id,
        [_point(one, metric) for one in epochs if not one.rising],
        [_point(one, metric) for one in epochs if one.rising],
    )


def _point(epoch: EpochReport, metric: str) -> tuple[int, float]:
    return epoch.epoch, float(epoch.metrics[metric])


def _some(front: Sequence[str], sweep: Read) -> list[str]:
    """Students spread evenly over the front, with the one that the headline speaks of."""
    if len(front) <= MOST:
        return list(front)
    places = np.linspace(0, len(front) - 1, MOST).round().astype(int)
    chosen = chosen_of(front_of([sweep]))
    wanted = {front[place] for place in places} | ({chosen.id} if chosen else set())
    return [trial_id for trial_id in front if trial_id in wanted]


def _series(sweep: Read, courses: Sequence[Course]) -> list[Series]:
    chosen = chosen_of(front_of([sweep]))
    lines = [
        Series(
            f"trial {course.trial_id}",
            [epoch for epoch, _ in course.judged],
            course.averages,
            kind="line",
            role="front" if chosen and chosen.id == course.trial_id else "nth",
        )
        for course in courses
    ]
    judged = [(one.trial_id, *point) for one in courses for point in one.judged]
    rising = [(one.trial_id, *point) for one in courses for point in one.rising]
    single = _epochs(sweep, "single epochs", "other", judged)
    early = _epochs(sweep, "not judged yet", "stopped", rising)
    return [one for one in (single, early, *lines) if one.x]


def _epochs(sweep: Read, name: str, role: Role, points: Sequence[tuple[str, int, float]]) -> Series:
    """Returns epochs as points, each a trial, an epoch and its value."""
    epochs, values = [epoch for _, epoch, _ in points], [value for _, _, value in points]
    return Series(name, epochs, values, role=role, hover=_hovers(sweep, points))


def _hovers(sweep: Read, points: Sequence[tuple[str, int, float]]) -> list[str]:
    metric = quality_of(sweep)
    label = objective(metric).label
    return [
        f"trial {trial_id}, epoch {epoch}\n{label} {measured(metric, value)}"
        for trial_id, epoch, value in points
    ]


def _says(sweep: Read, courses: Sequence[Course], on_front: int) -> str:
    best = max if is_better_high(sweep) else min
    values = [[value for _, value in one.judged] for one in courses]
    last = sum(own[-1] == best(own) for own in values)
    step = median(own[-1] - own[-2] for own in values)
    which = "" if len(courses) == on_front else f" (of {on_front} on the front)"
    hint = ": more epochs may help" if 2 * last > len(courses) and abs(step) > FLAT else ""
    plural = "" if len(courses) == 1 else "s"
    held = (
        " Hollow: pruning, hints or an earlier generation went on; such an epoch is not selected."
        if any(one.rising for one in courses)
        else ""
    )
    return (
        f"Lines are means of each epoch and the {WINDOW - 1} before it. "
        f"{last} of {len(courses)} student{plural}{which} did best in the last epoch; "
        f"it brought {step:+.3f} in the median{hint}.{held}"
    )
