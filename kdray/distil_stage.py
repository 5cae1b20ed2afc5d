"""The stage of a trial that trains: the student learns epoch by epoch, and may be cut off."""

import hashlib
from collections.abc import Callable, Mapping
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
from kdray.models.outputs import best_device, with_attentions
from kdray.models.student import Student, stored_mb
from kdray.preparation import PreparedSweep
from kdray.pruning.base import Pruned
from kdray.results.records import MICRO_BATCH_SIZE, TEACHER_EXAMPLES, EpochReport
from kdray.schema import TrialConfig
from kdray.teacher.lessons import Lessons
from kdray.training.best import BestEpoch
from kdray.training.checkpoint import go_on, keep
from kdray.training.course import Checkpoints, Course
from kdray.training.loop import EpochTraining, new_stepper, train_epochs
from kdray.training.losses import Truth
from kdray.training.stepper import Learner


def begin_course(
    config: TrialConfig, sweep: PreparedSweep, checkpoints: Checkpoints | None
) -> Course:
    """Returns the course of a trial that has no epoch yet."""
    made_of = (config, sweep.verified.digest, len(sweep.splits["train"]), __version__)
    identity = hashlib.sha256(repr(made_of).encode()).hexdigest()
    return Course(identity, BestEpoch(config.selection_metric), checkpoints)


def distil(
    pruned: Pruned,
    config: TrialConfig,
    sweep: PreparedSweep,
    on_epoch: Callable[[EpochReport], None],
    course: Course,
) -> Any:
    """Trains the student and returns it with the weights of its best epoch on validation.

    The state is written after `on_epoch`: an epoch of which nobody was told is done again.
    """
    device = best_device()
    method, train_set = config.distillation, sweep.splits["train"]
    model: Any = pruned.model.to(device)
    match = method.match(shape_of(model.config), shape_of(config_of(sweep.teacher)))
    match.projections.to(device)
    teacher_needs = method.needs(frozenset(match.pairs.values()))
    student_needs = method.needs(frozenset(match.pairs))
    with_attentions(model, bool(student_needs.attentions))
    truth = Truth(sweep.labels, torch.tensor(train_set.targets))

    lessons = Lessons(sweep.outputs, sweep.teacher, teacher_needs, device)
    terms = distillation_terms(method, model, match, lessons, truth)
    probe = probe_inputs(train_set, device)
    costs = measure_size(model, probe)
    costs |= {"size_mb": stored_mb(as_student(model, config, sweep))}
    learner = Learner(model, [match.projections], pruned.masks)
    stepper = new_stepper(learner, train_set, config.training)

    def after_epoch(epoch: EpochTraining) -> None:
        logits = predict_logits(model, sweep.splits["validation"])
        metrics = quality(logits, sweep.splits["validation"].targets, sweep.labels)
        course.best.offer(epoch.epoch, metrics, model)
        report = _report(epoch, config, metrics | costs, lessons.count())
        course.epochs.append(report)
        on_epoch(report)
        keep(stepper, course)

    with first_position_only(model, probe, student_needs):
        go_on(stepper, course)
        train_epochs(stepper, train_set, terms, after_epoch, len(course.epochs))
    course.best.restore(model)
    return with_attentions(model, False)


def as_student(
    model: Any, config: TrialConfig, sweep: PreparedSweep, thresholds: tuple[float, ...] = ()
) -> Student:
    """Returns a model with all that is needed to store and use it."""
    return Student(
        model=model,
        tokenizer=sweep.tokenizer,
        labels=sweep.labels,
        max_length=sweep.max_length,
        thresholds=thresholds,
        number_format=config.student.weights,
    )


def shape_of(config: Any) -> Shape:
    """Returns what a method has to know of a model with this transformers configuration."""
    return Shape(config.num_hidden_layers, config.hidden_size)


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
