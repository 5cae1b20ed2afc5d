"""The stage of a trial that trains: the student learns epoch by epoch, and may be cut off."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from kdray import __version__
from kdray.distillation.base import Shape
from kdray.distillation.objective import Teach, distillation_terms
from kdray.evaluation.measure import measure_size, probe_inputs
from kdray.evaluation.quality import quality
from kdray.models.first_position import first_position_only
from kdray.models.inference import predict_logits
from kdray.models.outputs import Needs, best_device, with_attentions
from kdray.models.student import Student, stored_mb
from kdray.preparation import PreparedSweep
from kdray.prune_stage import is_gradual, is_rising, prune, reshaped, rising_masks, stages
from kdray.pruning.base import Prunable
from kdray.results.records import MICRO_BATCH_SIZE, TEACHER_EXAMPLES, EpochReport
from kdray.schema import TrialConfig
from kdray.staff import Appoint, Setting, TaughtBy
from kdray.teacher.lessons import Lessons
from kdray.training.best import BestEpoch, best_of
from kdray.training.checkpoint import StepperState, go_on, keep, kept_shape
from kdray.training.course import Checkpoints, Course, OnEpoch, ignore
from kdray.training.loop import EpochTraining, Lane, new_stepper, train_side_by_side
from kdray.training.losses import Truth
from kdray.training.stepper import BeforeStep, Learner, Stepper


def begin_course(
    config: TrialConfig,
    sweep: PreparedSweep,
    checkpoints: Checkpoints | None = None,
    on_epoch: OnEpoch = ignore,
) -> Course:
    """Returns the course of a trial that has no epoch yet."""
    made_of = (config, sweep.verified.digest, len(sweep.splits["train"]), __version__)
    identity = hashlib.sha256(repr(made_of).encode()).hexdigest()
    return Course(identity, BestEpoch(config.selection_metric), on_epoch, checkpoints)


def distil(students: Sequence[Prunable], setting: Setting, appoint: Appoint) -> Prunable:
    """Trains students side by side; returns the best with its weights of the best epoch.

    Validation decides. Where pruning has stages, the training goes on after each with what is left.
    The state is written after `course.on_epoch`: an epoch of which nobody was told is done again.
    """
    config, course = setting.config, setting.course
    starts = sorted(stages(config))
    done, students = _kept(students, starts, course)
    for first, last in zip(starts, [*starts[1:], config.training.epochs], strict=True):
        if last < done:
            continue
        if first > 0 and done <= first:
            students = [prune(student, config, first) for student in students]
            course.reshaped = True
        students = _train(students, setting, appoint, range(first, last))
        done = last
    best = students[course.chosen]
    course.best.restore(best.model)
    with_attentions(best.model, False)
    return best


def _train(
    students: Sequence[Prunable], setting: Setting, appoint: Appoint, epochs: range
) -> list[Prunable]:
    """Trains for some of the epochs, between which the students keep their shapes."""
    course = setting.course
    for student in students:
        student.model.to(best_device())
    staff = appoint(students)
    pupils = [
        _pupil(student, teacher, staff.before_step, setting, epochs.start)
        for student, teacher in zip(students, staff.teachers, strict=True)
    ]
    first, *others = pupils
    peers = {f"student.{n}": StepperState(pupil.lane.stepper) for n, pupil in enumerate(others, 1)}
    course.beside = {**staff.beside, **peers}
    if epochs.start and not course.epochs:
        # Before anything is measured: a model that was cut between epochs has no weights yet.
        go_on(first.lane.stepper, course)
    with ExitStack() as stack:
        for pupil in pupils:
            model = pupil.student.model
            stack.enter_context(first_position_only(model, pupil.probe, pupil.needs))
        fixed = [_costs(pupil, setting) for pupil in pupils]
        if not course.epochs:
            go_on(first.lane.stepper, course)
        left = range(max(epochs.start, len(course.epochs) - course.before), epochs.stop)
        after_epoch = partial(_after_epoch, pupils, setting, fixed)
        train_side_by_side([pupil.lane for pupil in pupils], after_epoch, left)
    return [replace(one.student, masks=dict(one.lane.stepper.masks)) for one in pupils]


@dataclass(frozen=True)
class _Pupil:
    """A student with all that trains it, and a batch to measure it on."""

    student: Prunable
    lane: Lane
    teach: Teach
    needs: Needs
    probe: Any


def _pupil(
    student: Prunable, teacher: TaughtBy, before_step: BeforeStep, setting: Setting, done: int
) -> _Pupil:
    config, model, train_set = setting.config, student.model, student.splits["train"]
    method, device = config.distillation, best_device()
    match = method.match(Shape.of(model.config), teacher.shape)
    match.projections.to(device)
    needs = method.needs(frozenset(match.pairs))
    if config.regime.side_by_side:  # others learn from it
        needs |= method.needs(frozenset(match.pairs.values()))
    with_attentions(model, bool(needs.attentions))
    truth = Truth(setting.sweep.labels, torch.tensor(train_set.targets))
    teach = teacher.lessons(method.teacher_needs(frozenset(match.pairs.values())))
    terms = distillation_terms(method, model, match, teach, truth)
    raising = _both(before_step, rising_masks(config, student))
    learner = Learner(model, [match.projections], student.masks, raising)
    stepper = new_stepper(learner, train_set, config.training, done)
    probe = probe_inputs(train_set, device)
    return _Pupil(student, Lane(stepper, train_set, terms), teach, needs, probe)


def _both(one: BeforeStep, other: BeforeStep) -> BeforeStep:
    def before_step(stepper: Stepper, step: int, steps: int) -> None:
        one(stepper, step, steps)
        other(stepper, step, steps)

    return before_step


def _after_epoch(
    pupils: Sequence[_Pupil],
    setting: Setting,
    fixed: Sequence[Mapping[str, float]],
    trained: Sequence[EpochTraining],
) -> None:
    """Selects the best student of an epoch, tells of it, and keeps the state of all."""
    config, course = setting.config, setting.course
    measured = [_quality(pupil, setting) for pupil in pupils]
    best = best_of([found.get(config.selection_metric) for found in measured])
    pupil, epoch = pupils[best], trained[best]
    steps = -(-len(pupil.lane.dataset) // config.training.batch_size)
    rising = is_rising(config, epoch.epoch - 1, steps) or _ends_hinting(config, epoch.epoch, steps)
    number = course.before + epoch.epoch
    if not rising:
        course.best.offer(number, measured[best], pupil.student.model)
        course.chosen = best if course.best.epoch == number else course.chosen
    costs = _costs(pupil, setting) if is_gradual(config) else fixed[best]
    report = _report(epoch, config, measured[best] | dict(costs), _asked(pupils, course))
    course.epochs.append(_counted(report, setting, rising, steps))
    course.on_epoch(course.epochs[-1])
    keep(pupils[0].lane.stepper, course)


def _asked(pupils: Sequence[_Pupil], course: Course) -> int:
    """Returns how many examples the sweep's teacher was run on; a former student is not counted."""
    counts = [one.teach.count() for one in pupils if isinstance(one.teach, Lessons)]
    return 0 if course.teacher else sum(counts)


def _quality(pupil: _Pupil, setting: Setting) -> dict[str, float]:
    validation = pupil.student.splits["validation"]
    logits = predict_logits(pupil.student.model, validation)
    return dict(quality(logits, validation.targets, setting.sweep.labels))


def _counted(report: EpochReport, setting: Setting, rising: bool, steps: int) -> EpochReport:
    """Returns the report of an epoch of one generation as one of the trial."""
    config, before = setting.config, setting.course.before
    epochs = config.training.epochs
    planned = epochs * config.regime.trainings
    hints = sum(_ends_hinting(config, epoch, steps) for epoch in range(1, epochs + 1))
    return replace(
        report,
        epoch=before + report.epoch,
        epochs=planned,
        rising=rising or before + epochs < planned,
        before=planned - epochs + hints,
    )


def _ends_hinting(config: TrialConfig, epoch: int, steps: int) -> bool:
    """Returns whether the last of an epoch's steps is one of hints alone; epochs from 1.

    The last epoch of all counts as another, so that there always is one to select.
    """
    epochs = config.training.epochs
    last = (epoch - 1 + (steps - 1) / steps) / epochs
    return epoch < epochs and config.distillation.hinting(last)


def _costs(pupil: _Pupil, setting: Setting) -> dict[str, float]:
    student = pupil.student
    size = {"size_mb": stored_mb(as_student(student, setting.config, setting.sweep))}
    return measure_size(student.model, pupil.probe) | size


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


def as_student(
    student: Prunable,
    config: TrialConfig,
    sweep: PreparedSweep,
    thresholds: tuple[float, ...] = (),
) -> Student:
    """Returns a student with all that is needed to store and use it."""
    return Student(
        model=student.model,
        tokenizer=student.tokenizer,
        labels=student.labels,
        max_length=sweep.max_length,
        thresholds=thresholds,
        number_format=config.student.weights,
    )


def _report(
    epoch: EpochTraining, config: TrialConfig, metrics: Mapping[str, float], asked: int
) -> EpochReport:
    training = {"loss": epoch.loss, "learning_rate": epoch.learning_rate}
    training |= {f"loss_share_{name}": share for name, share in epoch.loss_share.items()}
    training |= {f"gradient_share_{name}": share for name, share in epoch.gradient_share.items()}
    training |= {TEACHER_EXAMPLES: float(asked)} if asked else {}
    if epoch.micro_batch_size < config.training.batch_size:
        training |= {MICRO_BATCH_SIZE: float(epoch.micro_batch_size)}
    return EpochReport(epoch.epoch, config.training.epochs, metrics, training, epoch.duration_s)
