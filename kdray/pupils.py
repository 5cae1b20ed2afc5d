"""A student with all that trains it, and what is measured of it between epochs."""

from dataclasses import dataclass
from typing import Any

import torch

from kdray.data.dataset import learnt_from
from kdray.distillation.base import Match, Shape, Teaching
from kdray.distillation.objective import Teach, distillation_terms
from kdray.evaluation.measure import measure_size, probe_inputs
from kdray.evaluation.quality import quality
from kdray.models.inference import predict_logits
from kdray.models.outputs import Needs, best_device, with_attentions
from kdray.models.student import Student, stored_mb
from kdray.preparation import PreparedSweep
from kdray.prune_stage import rising_masks
from kdray.pruning.base import Prunable
from kdray.schema import TrialConfig
from kdray.staff import Setting, TaughtBy
from kdray.training.loop import Lane, new_stepper
from kdray.training.losses import Truth
from kdray.training.stepper import BeforeStep, Learner, Stepper, no_more


@dataclass(frozen=True)
class Pupil:
    """A student that trains.

    Attributes:
        student: The student.
        lane: Its training.
        teach: Says what its teacher says of each batch.
        needs: What is read of the student itself besides its logits.
        probe: A batch to measure it on.
        match: How its layers stand to its teacher's.
    """

    student: Prunable
    lane: Lane
    teach: Teach
    needs: Needs
    probe: Any
    match: Match


def enrol(
    student: Prunable, teacher: TaughtBy, before_step: BeforeStep, setting: Setting, done: int
) -> Pupil:
    """Returns a student, on its device, with all that trains it.

    Args:
        student: The student.
        teacher: Who teaches it.
        before_step: Called before each step.
        setting: What it is trained with.
        done: Epochs of the training that it has behind it.
    """
    config, model, labelled = setting.config, student.model, student.splits["train"]
    method, device = config.distillation, best_device()
    train_set = learnt_from(student.splits) if isinstance(method, Teaching) else labelled
    match = method.match(Shape.of(model.config), teacher.shape)
    match.projections.to(device)
    needs = method.needs(frozenset(match.pairs))
    if config.regime.side_by_side:  # others learn from it
        needs |= method.needs(frozenset(match.pairs.values()))
    with_attentions(model, bool(needs.attentions))
    truth = Truth(setting.sweep.labels, torch.tensor(labelled.targets))
    teach = teacher.lessons(method.teacher_needs(frozenset(match.pairs.values())))
    terms = distillation_terms(method, model, match, teach, truth)
    raising = _both(before_step, rising_masks(config, student))
    is_followed = before_step is not no_more
    learner = Learner(model, [match.projections], student.masks, raising, is_followed)
    stepper = new_stepper(learner, train_set, config.training, done)
    probe = probe_inputs(labelled, device)
    return Pupil(student, Lane(stepper, train_set, terms), teach, needs, probe, match)


def quality_of(pupil: Pupil, setting: Setting) -> dict[str, float]:
    """Returns the metrics of a pupil on validation."""
    validation = pupil.student.splits["validation"]
    logits = predict_logits(pupil.student.model, validation)
    return dict(quality(logits, validation.targets, setting.sweep.labels))


def costs_of(pupil: Pupil, setting: Setting) -> dict[str, float]:
    """Returns the sizes of a pupil as it is now."""
    student = pupil.student
    size = {"size_mb": stored_mb(as_student(student, setting.config, setting.sweep))}
    return measure_size(student.model, pupil.probe) | size


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


def _both(one: BeforeStep, other: BeforeStep) -> BeforeStep:
    def before_step(stepper: Stepper, step: int, steps: int) -> None:
        one(stepper, step, steps)
        other(stepper, step, steps)

    return before_step
