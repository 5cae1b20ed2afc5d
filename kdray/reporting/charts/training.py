"""How the students of the front learnt, epoch by epoch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np

from kdray.reporting.charts.base import Chart, Read, Role, Series
from kdray.reporting.charts.trials import is_better_high, levels, quality_axis
from kdray.reporting.formats import measured, percent
from kdray.reporting.objectives import objective
from kdray.reporting.students import chosen_of, front_of, quality_of
from kdray.results.records import EpochReport

# Epochs of a moving average; students that are drawn; a gain that is none to speak of.
WINDOW, MOST, FLAT = 3, 6, 0.005
LOSS = "loss"
LINES = f"Lines are means of each epoch and the {WINDOW - 1} before it."
HOLLOW = " Hollow: pruning, hints or an earlier generation went on; such an epoch is not selected."
Value = Callable[[EpochReport], float | None]
Told = Callable[[float], str]


@dataclass(frozen=True)
class Course:
    """The epochs of one student.

    Attributes:
        trial_id: Its trial.
        judged: Epochs that could be selected, with their quality or their loss.
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
    """Returns quality and training loss over the epochs of the front's students, or of some."""
    return [*_quality_chart(sweep), *_loss_chart(sweep)]


def _quality_chart(sweep: Read) -> list[Chart]:
    metric = quality_of(sweep)
    courses = _courses(sweep, lambda epoch: epoch.metrics.get(metric))
    if not courses:
        return []
    label = objective(metric).label
    chart = Chart(
        name="training",
        title="Training of the students on the front",
        says=f"{LINES} {_says(sweep, courses)}{_held(courses)}",
        x="epoch",
        y=quality_axis(sweep),
        series=_series(sweep, courses, lambda value: f"{label} {measured(metric, value)}"),
        lines={name: value for name, value in levels(sweep).items() if name == "teacher"},
    )
    return [chart]


def _loss_chart(sweep: Read) -> list[Chart]:
    """The loss as a share of the first epoch's, as methods sum up different terms."""
    courses = _courses(sweep, lambda epoch: epoch.training.get(LOSS))
    shares = [_shares(course) for course in courses if course.judged[0][1] > 0]
    if not shares:
        return []
    chart = Chart(
        name="training_loss",
        title="Training loss of the students on the front",
        says=f"{LINES} Each is a share of the first epoch's: losses sum up different terms, so "
        f"their heights cannot be compared.{_held(shares)}",
        x="epoch",
        y="training loss, share of the first epoch's",
        series=_series(sweep, shares, lambda value: f"loss {percent(value)} of the first epoch's"),
    )
    return [chart]


def _shares(course: Course) -> Course:
    first = course.judged[0][1]
    judged, rising = (
        [(epoch, value / first) for epoch, value in values]
        for values in (course.judged, course.rising)
    )
    return Course(course.trial_id, judged, rising)


def _courses(sweep: Read, value: Value) -> list[Course]:
    """Of some students of the front, those of whom two epochs or more are known."""
    front = [student.id for student in front_of([sweep])]
    found = [_course(sweep, trial_id, value) for trial_id in _some(front, sweep)]
    return [course for course in found if len(course.judged) > 1]


def _course(sweep: Read, trial_id: str, value: Value) -> Course:
    told = [(one, value(one)) for one in sweep.folder.epochs(trial_id)]
    known = [(one, float(at)) for one, at in told if at is not None]
    return Course(
        trial_id,
        [(one.epoch, at) for one, at in known if not one.rising],
        [(one.epoch, at) for one, at in known if one.rising],
    )


def _some(front: Sequence[str], sweep: Read) -> list[str]:
    """Students spread evenly over the front, with the one that the headline speaks of."""
    if len(front) <= MOST:
        return list(front)
    places = np.linspace(0, len(front) - 1, MOST).round().astype(int)
    chosen = chosen_of(front_of([sweep]))
    wanted = {front[place] for place in places} | ({chosen.id} if chosen else set())
    return [trial_id for trial_id in front if trial_id in wanted]


def _series(sweep: Read, courses: Sequence[Course], told: Told) -> list[Series]:
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
    single = _epochs("single epochs", "other", judged, told)
    early = _epochs("not judged yet", "stopped", rising, told)
    return [one for one in (single, early, *lines) if one.x]


def _epochs(name: str, role: Role, points: Sequence[tuple[str, int, float]], told: Told) -> Series:
    """Returns epochs as points, each a trial, an epoch and its value."""
    epochs, values = [epoch for _, epoch, _ in points], [value for _, _, value in points]
    says = [f"trial {it}, epoch {epoch}\n{told(value)}" for it, epoch, value in points]
    return Series(name, epochs, values, role=role, hover=says)


def _says(sweep: Read, courses: Sequence[Course]) -> str:
    best = max if is_better_high(sweep) else min
    values = [[value for _, value in one.judged] for one in courses]
    last = sum(own[-1] == best(own) for own in values)
    step = median(own[-1] - own[-2] for own in values)
    on_front = len(front_of([sweep]))
    which = "" if len(courses) == on_front else f" shown, of {on_front} on the front"
    hint = " More epochs may help." if 2 * last > len(courses) and abs(step) > FLAT else ""
    label, plural = objective(quality_of(sweep)).label, "" if len(courses) == 1 else "s"
    return (
        f"For {last} of {len(courses)} student{plural}{which} the last epoch was the best. Between "
        f"the last two epochs {label} changed by {step:+.3f} (median of the students).{hint}"
    )


def _held(courses: Sequence[Course]) -> str:
    return HOLLOW if any(one.rising for one in courses) else ""
