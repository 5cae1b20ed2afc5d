"""The stage of a trial that trains: the student learns epoch by epoch, and may be cut off."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from kdray import __version__
from kdray.distillation.base import Shape
from kdray.distillation.objective import distillation_terms
from kdray.evaluation.measure import measure_size, probe_inputs
from kdray.evaluation.quality import quality
from kdray.models.building import config_of
from kdray.models.first_position import first_position_only
from kdray.models.inference import predict_logits
from kdray.models.outputs import Needs, best_device, with_attentions
from kdray.models.student import Student, stored_mb
from kdray.preparation import PreparedSweep
from kdray.prune_stage import is_gradual, is_rising, prune, reshaped, rising_masks, stages
from kdray.pruning.base import Prunable
from kdray.results.records import MICRO_BATCH_SIZE, TEACHER_EXAMPLES, EpochReport
from kdray.schema import TrialConfig
from kdray.teacher.lessons import Lessons
from kdray.training.best import BestEpoch, is_over
from kdray.training.checkpoint import go_on, keep, kept_shape
from kdray.training.course import Checkpoints, Course, OnEpoch, ignore
from kdray.training.loop import EpochTraining, new_stepper, steps_an_epoch, train_epochs
from kdray.training.losses import Truth
from kdray.training.stepper import Learner


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


def distil(
    student: Prunable,
    config: TrialConfig,
    sweep: PreparedSweep,
    course: Course,
) -> Prunable:
    """Trains the student and returns it with the weights of its best epoch on validation.

    Where pruning has stages, the training goes on after each with what is left. Early stopping
    waits for the last, and for hints and rising masks. The state is written after
    `course.on_epoch`: an epoch of which nobody was told is done again.
    """
    starts = sorted(stages(config))
    done, student = _kept(student, starts, course)
    for first, last in zip(starts, [*starts[1:], config.training.epochs], strict=True):
        if last < done:
            continue
        if first > 0 and done <= first:
            student, course.reshaped = prune(student, config, first), True
        student = _train(student, config, sweep, course, range(first, last))
        done = last
    course.best.restore(student.model)
    with_attentions(student.model, False)
    return student


def _train(
    student: Prunable,
    config: TrialConfig,
    sweep: PreparedSweep,
    course: Course,
    epochs: range,
) -> Prunable:
    """Trains for some of the epochs, between which the student keeps its shape."""
    device, model = best_device(), student.model.to(best_device())
    train_set, validation = student.splits["train"], student.splits["validation"]
    method, probe = config.distillation, probe_inputs(train_set, device)
    match = method.match(Shape.of(model.config), Shape.of(config_of(sweep.teacher)))
    match.projections.to(device)
    student_needs = method.needs(frozenset(match.pairs))
    with_attentions(model, bool(student_needs.attentions))
    truth = Truth(sweep.labels, torch.tensor(train_set.targets))
    lessons = _lessons(sweep, method.teacher_needs(frozenset(match.pairs.values())), device)
    terms = distillation_terms(method, model, match, lessons, truth)
    raising = rising_masks(config, student)
    learner = Learner(model, [match.projections], student.masks, raising)
    stepper = new_stepper(learner, train_set, config.training, epochs.start)
    costs = partial(_costs, student, config, sweep, probe)
    fixed = costs()
    steps = steps_an_epoch(len(train_set), config.training)

    def after_epoch(epoch: EpochTraining) -> bool:
        metrics = quality(predict_logits(model, validation), validation.targets, sweep.labels)
        rising = is_rising(config, epoch.epoch - 1, steps) or _ends_hinting(
            config, epoch.epoch, steps
        )
        if not rising:
            course.best.offer(epoch.epoch, metrics, model)
        # Masks change no MACs, and inside here the last layer is not whole.
        metrics |= costs() | {"macs": fixed["macs"]} if is_gradual(config) else fixed
        report = replace(_report(epoch, config, metrics, lessons.count()), rising=rising)
        over = is_over(course.best, epoch.epoch, config.training)
        course.epochs.append(replace(report, epochs=epoch.epoch) if over else report)
        course.on_epoch(course.epochs[-1])
        keep(stepper, course)
        return over

    # Before anything is seen on the probe: a model that was cut has any weights until then.
    if not course.epochs:
        go_on(stepper, course)
        fixed = costs() if epochs.start else fixed
    over = is_over(course.best, len(course.epochs), config.training)
    left = range(max(epochs.start, len(course.epochs)), 0 if over else epochs.stop)
    with first_position_only(model, probe, student_needs):
        train_epochs(stepper, train_set, terms, after_epoch, left)
    return replace(student, masks=dict(stepper.masks))


def _ends_hinting(config: TrialConfig, epoch: int, steps: int) -> bool:
    """Returns whether the last of an epoch's steps is one of hints alone; epochs from 1.

    The last epoch of all counts as another, so that there always is one to select.
    """
    epochs = config.training.epochs
    last = (epoch - 1 + (steps - 1) / steps) / epochs
    return epoch < epochs and config.distillation.hinting(last)


def _costs(
    student: Prunable, config: TrialConfig, sweep: PreparedSweep, probe: Any
) -> dict[str, float]:
    size = {"size_mb": stored_mb(as_student(student, config, sweep))}
    return measure_size(student.model, probe) | size


def _lessons(sweep: PreparedSweep, needs: Needs, device: torch.device) -> Lessons:
    return Lessons(sweep.outputs, sweep.teacher, needs, sweep.splits["train"], device)


def _kept(student: Prunable, starts: Sequence[int], course: Course) -> tuple[int, Prunable]:
    """Returns the epochs done by a trial that was cut off, and the student in its shape of then."""
    kept = kept_shape(course)
    if kept is None:
        return 0, student
    done, shape, frozen = kept
    course.reshaped = any(0 < start < done for start in starts)
    return done, reshaped(student, shape, frozen) if course.reshaped else student


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
