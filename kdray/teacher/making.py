"""A teacher: built from scratch or loaded, then fine-tuned on the labels if asked."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from kdray.config.teachers import Teacher, TeacherTraining
from kdray.data.base import Examples, Labels
from kdray.data.batches import Batch
from kdray.data.dataset import Dataset
from kdray.data.tokenizing import train_tokenizer
from kdray.errors import ConfigError, Problem
from kdray.evaluation.quality import quality
from kdray.models.building import new_classifier
from kdray.models.classifier import (
    change_classifier,
    forget_first_position,
    is_known,
    unknown_family,
)
from kdray.models.inference import predict_logits
from kdray.models.outputs import best_device, forward
from kdray.models.stored import load_classifier
from kdray.training.best import BestEpoch, is_over
from kdray.training.loop import ComputeTerms, EpochTraining, train
from kdray.training.losses import Truth, class_weights, hard_loss
from kdray.training.randomness import deterministic_algorithms, seed_everything
from kdray.training.stepper import Learner

OnEpoch = Callable[[int, int, Mapping[str, float]], None]


def members(teacher: Teacher) -> list[Teacher]:
    """Returns the section of each member of an ensemble: member n from 0 trains with seed + n.

    One teacher is the only member.
    """
    if not isinstance(teacher.model, list):
        return [teacher]
    return [_member(teacher, number, model) for number, model in enumerate(teacher.model)]


def _member(teacher: Teacher, number: int, model: str) -> Teacher:
    training = teacher.training
    if training is not None:
        training = training.model_copy(update={"seed": training.seed + number})
    return teacher.model_copy(update={"model": model, "weights": None, "training": training})


def located(teacher: Teacher, base: Path) -> Teacher:
    """Returns the section with model folders that are given relative to `base` found there."""
    if teacher.model is None:
        return teacher
    several = isinstance(teacher.model, list)
    names = [teacher.model] if isinstance(teacher.model, str) else teacher.model
    found = [str(base / name) if (base / name).is_dir() else name for name in names]
    if found == names:
        return teacher
    return teacher.model_copy(update={"model": found if several else found[0]})


def untrained_teacher(
    teacher: Teacher, labels: Labels, examples: Examples, max_length: int, seed: int
) -> tuple[Any, Any]:
    """Returns model and tokenizer before any fine-tuning.

    Args:
        teacher: The section of the file, `located`, or that of one of its `members`.
        labels: What is predicted.
        examples: The training texts, for a tokenizer of one's own.
        max_length: Tokens a text.
        seed: Of the random weights, those of a new head included.

    Raises:
        ConfigError: If `teacher.model` cannot be loaded or does not fit the data.
    """
    torch.manual_seed(seed)
    model, tokenizer = _as_its_family_is(teacher, labels, examples, max_length)
    if teacher.pooling == "mean" and not is_known(model.config):
        message = f"the teacher's model {unknown_family(model.config)}; leave it at cls"
        raise ConfigError([Problem("teacher.pooling", message)])
    if teacher.pooling == "mean":
        change_classifier(model, teacher.pooling, hidden=None)
        forget_first_position(model)
    return model, tokenizer


def _as_its_family_is(
    teacher: Teacher, labels: Labels, examples: Examples, max_length: int
) -> tuple[Any, Any]:
    if isinstance(teacher.model, str):
        fresh = teacher.training is not None
        trusted = teacher.trust_remote_code
        return load_classifier(teacher.model, "teacher.model", labels, fresh, trusted)
    texts = (text for row in examples.texts for text in row)
    tokenizer = train_tokenizer(texts, teacher.architecture.vocabulary_size, max_length)
    return new_classifier(teacher.architecture, tokenizer, labels, max_length), tokenizer


def fine_tune(
    model: Any,
    teacher: Teacher,
    labels: Labels,
    splits: Mapping[str, Dataset],
    on_epoch: OnEpoch,
) -> Any:
    """Trains a model on the labels and returns it with the weights of its best epoch.

    The best epoch is the one with the highest `teacher.verify.metric` on validation.

    Raises:
        ValueError: If the section says that the teacher is not trained.
        DivergedError: If the loss is not finite.
    """
    options = teacher.training
    if options is None:
        raise ValueError("a teacher with `training: null` is not fine-tuned")
    seed_everything(options.seed)
    model = model.to(best_device())
    best = BestEpoch(teacher.verify.metric)

    def after_epoch(epoch: EpochTraining) -> bool:
        logits = predict_logits(model, splits["validation"])
        metrics = quality(logits, splits["validation"].targets, labels)
        on_epoch(epoch.epoch, options.epochs, metrics)
        best.offer(epoch.epoch, metrics, model)
        return is_over(best, epoch.epoch, options)

    truth = Truth(labels, torch.tensor(splits["train"].targets))
    terms = _label_terms(model, options, truth)
    with deterministic_algorithms(options.deterministic):
        train(Learner(model), splits["train"], terms, options, after_epoch)
    best.restore(model)
    return model.cpu().eval()


def _label_terms(model: Any, options: TeacherTraining, truth: Truth) -> ComputeTerms:
    weights = class_weights(options.class_weights, truth, next(model.parameters()).device)

    def terms(batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        logits = forward(model, batch.inputs).logits
        return {"hard": hard_loss(logits, batch.targets, truth.multi_label, weights)}

    return terms
