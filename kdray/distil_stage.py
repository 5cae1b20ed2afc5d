"""The stage of a trial that trains: the student learns epoch by epoch, and may be cut off."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from kdray import __version__
from kdray.data.dataset import learnt_rows
from kdray.distillation.base import Match
from kdray.models.first_position import first_position_only
from kdray.models.outputs import best_device, with_attentions
from kdray.preparation import PreparedSweep
from kdray.prune_stage import is_gradual, is_rising, prune, reshaped, stages
from kdray.pruning.base import Prunable
from kdray.pupils import Pupil, costs_of, enrol, quality_of
from kdray.results.records import (
    GRADIENT_SHARE,
    LOSS_SHARE,
    MICRO_BATCH_SIZE,
    TEACHER_EXAMPLES,
    EpochReport,
)
from kdray.schema import TrialConfig
from kdray.staff import Appoint, Setting
from kdray.teacher.lessons import EnsembleLessons, Lessons
from kdray.training.best import BestEpoch, best_of, is_over
from kdray.training.checkpoint import StepperState, go_on, keep, keep_for_telling, kept_shape
from kdray.training.course import Checkpoints, Course, OnEpoch, ignore
from kdray.training.loop import EpochTraining, steps_an_epoch, train_side_by_side


def begin_course(
    config: TrialConfig,
    sweep: PreparedSweep,
    checkpoints: Checkpoints | None = None,
    on_epoch: OnEpoch = ignore,
) -> Course:
    """Returns the course of a trial that has no epoch yet."""
    made_of = (config, sweep.verified.digest, learnt_rows(sweep.splits), __version__)
    identity = hashlib.sha256(repr(made_of).encode()).hexdigest()
    return Course(identity, BestEpoch(config.selection_metric), on_epoch, checkpoints)


def distil(students: Sequence[Prunable], setting: Setting, appoint: Appoint) -> Prunable:
    """Trains students side by side; returns the best with its weights of the best epoch.

    Where pruning has stages, the training goes on after each with what is left, and with what its
    projections have learnt where they still fit. Early stopping waits for the last, and for hints
    and rising masks; students side by side end together, when the best of them was no better for
    long enough. The state is written after `course.on_epoch`: an epoch of which nobody was told is
    done again.
    """
    config, course = setting.config, setting.course
    starts = sorted(stages(config))
    done, students = _kept(students, starts, course)
    matches: Sequence[Match] = ()
    for first, last in zip(starts, [*starts[1:], config.training.epochs], strict=True):
        if last < done:
            continue
        if first > 0 and done <= first:
            students = [prune(student, config, first) for student in students]
            course.reshaped = True
        pupils = _enrolled(students, setting, appoint, first, matches)
        students = _train(pupils, setting, range(first, last))
        matches = [pupil.match for pupil in pupils]
        done = last
    best = students[course.chosen]
    course.best.restore(best.model)
    with_attentions(best.model, False)
    return best


def _enrolled(
    students: Sequence[Prunable],
    setting: Setting,
    appoint: Appoint,
    done: int,
    former: Sequence[Match],
) -> list[Pupil]:
    """Returns students with all that trains them after some epochs.

    Args:
        students: In the shapes that they keep from now on.
        setting: What they are trained with.
        appoint: Finds their teachers.
        done: The epochs.
        former: How their layers stood to their teachers' in the stage before, if there was one.
    """
    for student in students:
        student.model.to(best_device())
    staff = appoint(students)
    pupils = [
        enrol(student, teacher, staff.before_step, setting, done)
        for student, teacher in zip(students, staff.teachers, strict=True)
    ]
    for pupil, match in zip(pupils, former, strict=False):
        pupil.match.take_over(match)
    steppers = {f"student.{n}": pupil.lane.stepper for n, pupil in enumerate(pupils) if n}
    peers = {name: StepperState(stepper) for name, stepper in steppers.items()}
    setting.course.beside = {**staff.beside, **peers}
    return pupils


def _train(pupils: Sequence[Pupil], setting: Setting, epochs: range) -> list[Prunable]:
    """Trains for some of the epochs, between which the students keep their shapes."""
    course, first = setting.course, pupils[0]
    fixed = [costs_of(pupil, setting) for pupil in pupils]
    # Before anything is seen on the probe: a model that was cut has any weights until then.
    if not course.epochs:
        go_on(first.lane.stepper, course)
        fixed = [costs_of(pupil, setting) for pupil in pupils] if epochs.start else fixed
    over = is_over(course.best, len(course.epochs), setting.config.training)
    done = len(course.epochs) - course.before
    left = range(max(epochs.start, done), 0 if over else epochs.stop)
    with ExitStack() as stack:
        for pupil in pupils:
            model = pupil.student.model
            stack.enter_context(first_position_only(model, pupil.probe, pupil.needs))
        after_epoch = partial(_after_epoch, pupils, setting, fixed)
        train_side_by_side([pupil.lane for pupil in pupils], after_epoch, left)
    return [replace(one.student, masks=dict(one.lane.stepper.masks)) for one in pupils]


def _after_epoch(
    pupils: Sequence[Pupil],
    setting: Setting,
    fixed: Sequence[Mapping[str, float]],
    trained: Sequence[EpochTraining],
) -> bool:
    """Selects the best student of an epoch, tells of it, and keeps the state of all.

    Returns:
        Whether early stopping ends the training here.
    """
    config, course = setting.config, setting.course
    measured = [quality_of(pupil, setting) for pupil in pupils]
    best = best_of([found.get(config.selection_metric) for found in measured])
    pupil, epoch = pupils[best], trained[best]
    steps = steps_an_epoch(len(pupil.lane.dataset), config.training)
    rising = is_rising(config, epoch.epoch - 1, steps) or _ends_hinting(config, epoch.epoch, steps)
    number = course.before + epoch.epoch
    if not rising:
        course.best.offer(number, measured[best], pupil.student.model)
        course.chosen = best if course.best.epoch == number else course.chosen
    over = is_over(course.best, number, config.training)
    costs = dict(fixed[best])
    if is_gradual(config):
        # Masks change no MACs, and inside here the last layer is not whole.
        costs |= costs_of(pupil, setting) | {"macs": costs["macs"]}
    report = _report(epoch, config, measured[best] | costs, _asked(pupils, course))
    report = _counted(replace(report, rising=rising), setting, steps, over)
    course.epochs.append(report)
    keep_for_telling(pupils[0].lane.stepper, course)
    course.on_epoch(report)
    keep(pupils[0].lane.stepper, course)
    return over


def _asked(pupils: Sequence[Pupil], course: Course) -> int:
    """Returns how many examples the sweep's teacher was run on; a former student is not counted."""
    asked = [one.teach for one in pupils if isinstance(one.teach, Lessons | EnsembleLessons)]
    return 0 if course.teacher else sum(teach.count() for teach in asked)


def _counted(report: EpochReport, setting: Setting, steps: int, over: bool) -> EpochReport:
    """Returns the report of an epoch of one generation as one of the trial.

    Planned are the most epochs that can still be: all of this generation and of those to come.
    """
    config, course = setting.config, setting.course
    epochs, last = config.training.epochs, course.generation + 1 == config.regime.trainings
    number = course.before + report.epoch
    planned = course.before + epochs * (config.regime.trainings - course.generation)
    hints = sum(_ends_hinting(config, epoch, steps) for epoch in range(1, epochs + 1))
    return replace(
        report,
        epoch=number,
        epochs=number if over and last else planned,
        rising=report.rising or not last,
        before=planned - epochs + hints,
    )


def _ends_hinting(config: TrialConfig, epoch: int, steps: int) -> bool:
    """Returns whether the last of an epoch's steps is one of hints alone; epochs from 1.

    The last epoch of all counts as another, so that there always is one to select.
    """
    epochs = config.training.epochs
    last = (epoch - 1 + (steps - 1) / steps) / epochs
    return epoch < epochs and config.distillation.hinting(last)


def _kept(
    students: Sequence[Prunable], starts: Sequence[int], course: Course
) -> tuple[int, list[Prunable]]:
    """Returns the epochs done by a trial that was cut off, and the students in their shape of then.

    Only the first may have been cut between epochs.
    """
    kept = None if course.epochs else kept_shape(course)
    if kept is None:
        return 0, list(students)
    total, shape, frozen = kept
    done = total - course.before
    course.reshaped = any(0 < start < done for start in starts)
    first, *others = students
    return done, [reshaped(first, shape, frozen) if course.reshaped else first, *others]


def _report(
    epoch: EpochTraining, config: TrialConfig, metrics: Mapping[str, float], asked: int
) -> EpochReport:
    training = {"loss": epoch.loss, "learning_rate": epoch.learning_rate}
    training |= {f"{LOSS_SHARE}{name}": share for name, share in epoch.loss_share.items()}
    training |= {f"{GRADIENT_SHARE}{name}": share for name, share in epoch.gradient_share.items()}
    training |= {TEACHER_EXAMPLES: float(asked)} if asked else {}
    if epoch.micro_batch_size < config.training.batch_size:
        training |= {MICRO_BATCH_SIZE: float(epoch.micro_batch_size)}
    return EpochReport(epoch.epoch, config.training.epochs, metrics, training, epoch.duration_s)
