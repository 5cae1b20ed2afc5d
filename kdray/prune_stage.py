"""The stage of a trial that prunes: at its start, between epochs (stages), or step by step (cubic).

Which weights go follows from the configuration, the seed and the weights themselves, so a trial
that is cut off prunes alike when it goes on.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from kdray.config.sections import Head
from kdray.models.building import (
    ModelState,
    config_of,
    empty_model,
    has_own_code,
    keep_layers,
    new_classifier,
    thaw,
    without_mean,
)
from kdray.models.classifier import Pooling, change_classifier, reads_mean
from kdray.models.starts import thaw_start
from kdray.preparation import PreparedSweep
from kdray.pruning.base import Prunable, PruningMethod
from kdray.pruning.masking import MaskPruning
from kdray.pruning.schedule import cubic_share
from kdray.schema import TrialConfig
from kdray.space_checks import COPIED
from kdray.starts import load_one
from kdray.training.stepper import BeforeStep, Stepper

# Masks rise during this share of the training, in so many steps.
RAMP, RAISES = 0.5, 10


def build_student(config: TrialConfig, sweep: PreparedSweep) -> Any:
    """Returns the student before pruning: copied teacher layers, from scratch, or loaded.

    Copied layers bring their teacher's way to classify, and a loaded model its own.
    """
    model, head = _initial_student(config, sweep), config.student.head
    hidden = head.hidden_size if isinstance(head, Head) else None
    as_taught = config.student.architecture is not None and reads_mean(config_of(sweep.teacher))
    inherited: Pooling = "mean" if as_taught else "cls"
    change_classifier(model, config.student.pooling or inherited, hidden)
    if config.student.embeddings == "frozen":
        model.get_input_embeddings().requires_grad_(False)
    return model


def _initial_student(config: TrialConfig, sweep: PreparedSweep) -> Any:
    options = config.student
    if options.architecture is not None:
        shape = options.architecture
        return new_classifier(shape, sweep.tokenizer, sweep.labels, sweep.max_length)
    if options.initial == COPIED:
        own = without_mean(sweep.teacher) if options.pooling == "cls" else sweep.teacher
        model = thaw(own)
    else:
        model = _started(options.initial, options.pooling, sweep)
    return keep_layers(model, options.layers or model.config.num_hidden_layers)


def _started(initial: str, pooling: Pooling | None, sweep: PreparedSweep) -> Any:
    """Returns a model from a folder or the hub, which trials that a sweep draws have from it."""
    start = sweep.starts.get(initial)
    if start is None:
        start = load_one(initial, sweep.labels, sweep.tokenizer)
        if start.tokenizer is not None:
            raise ValueError(f"student.initial {initial!r} has a tokenizer that nothing is read by")
    if pooling == "cls" and reads_mean(config_of(start.state)):  # a stored student
        return thaw(without_mean(start.state))
    return thaw_start(start)


def begin_student(config: TrialConfig, sweep: PreparedSweep) -> Prunable:
    """Returns the student before any pruning, with the splits as its tokenizer has them."""
    return unpruned(build_student(config, sweep), sweep, config.student.initial)


def unpruned(model: Any, sweep: PreparedSweep, initial: str = COPIED) -> Prunable:
    """Returns a model before any pruning, with the splits as its tokenizer has them.

    Args:
        model: The model.
        sweep: What all trials share.
        initial: What it was built from.
    """
    tokenizer, splits = sweep.read_by(initial)
    return Prunable(
        model=model,
        tokenizer=tokenizer,
        labels=sweep.labels,
        splits=splits,
        original=copy.deepcopy(model.config),
        texts=sweep.texts,
        max_length=sweep.max_length,
    )


def prune(student: Prunable, config: TrialConfig, epoch: int = 0) -> Prunable:
    """Applies what is due before an epoch, in the order of the list; a mask keeps what all keep.

    Args:
        student: The student; its model may be changed in place.
        config: Of the trial.
        epoch: From 0.
    """
    generator = torch.Generator().manual_seed(config.training.seed)
    for method, stage in stages(config).get(epoch, ()):
        student = method.prune(student, generator, method.stage_share(stage))
    return student


def stages(config: TrialConfig) -> dict[int, list[tuple[PruningMethod, int]]]:
    """Returns the methods, each with its stage from 1, by the epoch before which they are due.

    Stage k of n is due before epoch ⌊(k − 1) · epochs / n⌋, counted from 0; 0 is always there.
    """
    due: dict[int, list[tuple[PruningMethod, int]]] = {0: []}
    for method in config.pruning:
        for stage in range(1, method.stages + 1):
            epoch = (stage - 1) * config.training.epochs // method.stages
            due.setdefault(epoch, []).append((method, stage))
    return due


def is_rising(config: TrialConfig, epoch: int, steps: int) -> bool:
    """Returns whether pruning goes on during or after an epoch, counted from 0.

    Args:
        config: Of the trial.
        epoch: The epoch.
        steps: Steps of an epoch.
    """
    if epoch < max(stages(config)):
        return True
    all_steps = config.training.epochs * steps
    return is_gradual(config) and (epoch + 1) * steps < math.ceil(RAMP * all_steps)


def is_gradual(config: TrialConfig) -> bool:
    """Returns whether masks rise during the training."""
    return bool(_rising_masks(config))


def rising_masks(config: TrialConfig, student: Prunable) -> BeforeStep:
    """Returns what raises the masks of methods with a cubic schedule during the training."""
    methods = _rising_masks(config)

    def before_step(stepper: Stepper, step: int, steps: int) -> None:
        due = _raises(step, steps)
        if not methods or due == _raises(step - 1, steps):
            return
        generator = torch.Generator().manual_seed(config.training.seed)
        with stepper.reading_whole():
            pruned = replace(student, model=stepper.model, masks=dict(stepper.masks))
            for method in methods:
                share = cubic_share(method.ratio, due / RAISES)
                pruned = method.prune(pruned, generator, share)
        stepper.mask(pruned.masks)

    return before_step


def reshaped(student: Prunable, config: Mapping[str, Any], frozen: Mapping[str, Any]) -> Prunable:
    """Returns a student with a model of another shape; its trained weights are yet to be given.

    Args:
        student: The student before training.
        config: The configuration of a model that was cut from it, as plain values.
        frozen: That model's frozen weights.
    """
    model = empty_model(ModelState(config, {}, has_own_code(student.model)))
    for name, weights in frozen.items():
        model.get_parameter(name).requires_grad_(False).copy_(weights)
    return replace(student, model=model)


def _rising_masks(config: TrialConfig) -> list[MaskPruning]:
    return [one for one in config.pruning if isinstance(one, MaskPruning) and one.rises]


def _raises(step: int, steps: int) -> int:
    """Returns how many of the raises are done before a step, counted from 0, is taken."""
    return min(RAISES, (step + 1) * RAISES // max(1, math.ceil(RAMP * steps)))
