"""One trial, straight down: verify the teacher, prune, distil, evaluate. READ THIS FIRST.

It runs without Ray, Optuna and MLflow: a sweep calls it in its workers, `kdray trial` in process.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from kdray.distillation.base import Shape
from kdray.distillation.objective import distillation_terms
from kdray.errors import KdrayError
from kdray.evaluation.efficiency import paired_latency
from kdray.evaluation.measure import Measured, measure_quality, measure_size, probe_inputs
from kdray.evaluation.quality import quality
from kdray.models.building import (
    borrow,
    config_of,
    keep_layers,
    load_classifier,
    new_classifier,
    thaw,
)
from kdray.models.first_position import first_position_only
from kdray.models.inference import predict_logits
from kdray.models.outputs import best_device, with_attentions
from kdray.models.packing import to_format
from kdray.models.student import Student, stored_mb
from kdray.preparation import PreparedSweep, teacher_digest
from kdray.pruning.base import Pruned
from kdray.results.records import TEACHER_EXAMPLES, EpochReport, Stage
from kdray.schema import TrialConfig
from kdray.teacher.lessons import Lessons
from kdray.training.best import BestEpoch
from kdray.training.loop import EpochTraining, train
from kdray.training.losses import Truth
from kdray.training.stepper import Learner

OnEpoch = Callable[[EpochReport], None]


class TrialError(KdrayError):
    """A trial failed: in which stage, and why."""

    def __init__(self, stage: Stage, reason: str) -> None:
        self.stage: Stage = stage
        self.reason = reason
        super().__init__(f"{stage}: {reason}")

    def __reduce__(self) -> tuple[type["TrialError"], tuple[Stage, str]]:
        return type(self), (self.stage, self.reason)


@dataclass(frozen=True)
class Finished:
    """A trial that came to its end.

    Attributes:
        metrics: Validation metrics of the selected epoch, `test_…` metrics, sizes and speed,
            `retention` and `test_retention` (student / teacher in the selection metric), and
            `teacher_size_mb`: the teacher's size in the number format of the student.
        epochs: The report of every epoch.
        selected_epoch: The epoch whose weights were kept.
        student: The student, in evaluation mode on the CPU.
        logits: Its logits on validation and test.
        duration_s: Seconds from start to end.
    """

    metrics: Mapping[str, float]
    epochs: tuple[EpochReport, ...]
    selected_epoch: int
    student: Student
    logits: Mapping[str, Any]
    duration_s: float


@dataclass(frozen=True)
class _Distilled:
    model: Any
    epochs: tuple[EpochReport, ...]
    selected_epoch: int


def run_trial(
    config: TrialConfig, sweep: PreparedSweep, on_epoch: OnEpoch = lambda report: None
) -> Finished:
    """Runs one trial.

    Args:
        config: The drawn configuration.
        sweep: What all trials share; it is not changed.
        on_epoch: Takes the report of each epoch; what it raises ends the trial.

    Returns:
        The student and everything measured of it. Validation selects the epoch; test is measured
        once, at the end.

    Raises:
        TrialError: If a stage fails.
    """
    start = time.perf_counter()
    seed_everything(config.training.seed)
    with _stage("verify"):
        check_teacher(sweep)
    with _stage("prune"):
        pruned = prune(build_student(config, sweep), config)
    with _stage("distil"):
        distilled = distil(pruned, config, sweep, on_epoch)
    with _stage("evaluate"):
        student, measured, metrics = evaluate(distilled.model, config, sweep)
    seconds = time.perf_counter() - start
    return Finished(
        metrics, distilled.epochs, distilled.selected_epoch, student, measured.logits, seconds
    )


def check_teacher(sweep: PreparedSweep) -> None:
    """Checks that the shared teacher still is the one that was verified.

    Raises:
        RuntimeError: If a weight has changed since.
    """
    if teacher_digest(sweep.teacher) != sweep.verified.digest:
        raise RuntimeError("the teacher's weights are not those that were verified")


def build_student(config: TrialConfig, sweep: PreparedSweep) -> Any:
    """Returns the student before pruning: copied teacher layers, from scratch, or loaded."""
    model = _initial_student(config, sweep)
    if config.student.embeddings == "frozen":
        model.get_input_embeddings().requires_grad_(False)
    return model


def _initial_student(config: TrialConfig, sweep: PreparedSweep) -> Any:
    options = config.student
    if options.architecture is not None:
        shape = options.architecture
        return new_classifier(shape, sweep.tokenizer, sweep.labels, sweep.max_length)
    if options.initial == "teacher_layers":
        model = thaw(sweep.teacher)
    else:
        model, tokenizer = load_classifier(options.initial, "student.initial", sweep.labels, True)
        if tokenizer.get_vocab() != sweep.tokenizer.get_vocab():
            raise ValueError(f"student.initial {options.initial!r} has another tokenizer")
    return keep_layers(model, options.layers or model.config.num_hidden_layers)


def prune(model: Any, config: TrialConfig) -> Pruned:
    """Applies every pruning method in order; a weight stays where all masks keep it."""
    generator = torch.Generator().manual_seed(config.training.seed)
    masks: dict[str, torch.Tensor] = {}
    for method in config.pruning:
        pruned = method.prune(model, generator)
        model = pruned.model
        for name, mask in pruned.masks.items():
            masks[name] = mask * masks[name] if name in masks else mask
            model.get_parameter(name).data.mul_(masks[name])
    return Pruned(model, masks)


def distil(
    pruned: Pruned, config: TrialConfig, sweep: PreparedSweep, on_epoch: OnEpoch
) -> _Distilled:
    """Trains the student and returns it with the weights of its best epoch on validation."""
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
    best = BestEpoch(config.selection_metric)
    epochs: list[EpochReport] = []
    probe = probe_inputs(train_set, device)
    costs = measure_size(model, probe)
    costs |= {"size_mb": stored_mb(as_student(model, config, sweep))}

    def after_epoch(epoch: EpochTraining) -> None:
        logits = predict_logits(model, sweep.splits["validation"])
        metrics = quality(logits, sweep.splits["validation"].targets, sweep.labels)
        best.offer(epoch.epoch, metrics, model)
        report = _report(epoch, config, metrics | costs, lessons.count())
        epochs.append(report)
        on_epoch(report)

    learner = Learner(model, [match.projections], pruned.masks)
    with first_position_only(model, probe, student_needs):
        train(learner, train_set, terms, config.training, after_epoch)
    best.restore(model)
    with_attentions(model, False)
    return _Distilled(model, tuple(epochs), best.epoch)


def evaluate(
    model: Any, config: TrialConfig, sweep: PreparedSweep
) -> tuple[Student, Measured, dict[str, float]]:
    """Measures the student as it will be stored, rounded to its number format."""
    device = best_device()
    rounded = to_format(model.state_dict(), config.student.weights)
    model.load_state_dict({name: tensor.float() for name, tensor in rounded.items()})
    probe = probe_inputs(sweep.splits["train"], device)
    with first_position_only(model, probe):
        measured = measure_quality(model, sweep.splits, sweep.labels, config.evaluation)
    metrics = dict(measured.metrics) | measure_size(model, probe)
    teacher = borrow(sweep.teacher).to(device)
    metrics |= paired_latency(model, teacher, probe)
    metrics |= retention(metrics, sweep.verified.metrics, config.selection_metric)
    student = as_student(model.cpu(), config, sweep, measured.thresholds)
    sizes = {
        "size_mb": stored_mb(student),
        "teacher_size_mb": stored_mb(replace(student, model=teacher.cpu())),
    }
    return student, measured, metrics | sizes


def retention(
    student: Mapping[str, float], teacher: Mapping[str, float], metric: str
) -> dict[str, float]:
    """Returns `retention` and `test_retention`, student / teacher; left out where that is none."""
    return {
        f"{prefix}retention": student[prefix + metric] / teacher[prefix + metric]
        for prefix in ("", "test_")
        if prefix + metric in student and teacher.get(prefix + metric)
    }


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


def seed_everything(seed: int) -> None:
    """Seeds Python, numpy and torch: the same configuration then gives the same student."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _report(
    epoch: EpochTraining, config: TrialConfig, metrics: Mapping[str, float], asked: int
) -> EpochReport:
    training = {"loss": epoch.loss, "learning_rate": epoch.learning_rate}
    training |= {f"loss_share_{name}": share for name, share in epoch.loss_share.items()}
    training |= {f"gradient_share_{name}": share for name, share in epoch.gradient_share.items()}
    training |= {TEACHER_EXAMPLES: float(asked)} if asked else {}
    return EpochReport(epoch.epoch, config.training.epochs, metrics, training, epoch.duration_s)


@contextmanager
def _stage(name: Stage) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise TrialError(name, reason[0] if reason else type(error).__name__) from error
