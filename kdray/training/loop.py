"""The training loop.

A loss is given as named terms, so that the loop can tell what each of them contributes.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from kdray.config.sections import Training
from kdray.data.batches import Batch, make_batch, shuffled_rows
from kdray.data.dataset import Dataset
from kdray.models.outputs import fast_training
from kdray.training.meter import Meter, gradient_norms, shares
from kdray.training.stepper import Learner, Stepper

ComputeTerms = Callable[[Batch, float], Mapping[str, Tensor]]


@dataclass(frozen=True)
class EpochTraining:
    """What happened in one epoch.

    Attributes:
        epoch: From 1.
        loss: Mean of the sum of all terms.
        loss_share: Share of each term in the loss, by name.
        gradient_share: Share of each term in the sum of the terms' gradient norms, measured on
            the epoch's last batch: a term that does nothing shows a share near 0.
        learning_rate: At the end of the epoch.
        duration_s: Seconds, without what is done after the epoch.
    """

    epoch: int
    loss: float
    loss_share: Mapping[str, float]
    gradient_share: Mapping[str, float]
    learning_rate: float
    duration_s: float


def train(
    learner: Learner,
    dataset: Dataset,
    compute_terms: ComputeTerms,
    options: Training,
    after_epoch: Callable[[EpochTraining], None],
) -> None:
    """Trains a model in place.

    Args:
        learner: What is trained.
        dataset: The training set.
        compute_terms: From a batch and the progress in [0, 1) to the named terms of the loss.
        options: Epochs, batch size, optimizer, precision, seed.
        after_epoch: Called after each epoch; what it raises ends the training.

    Raises:
        DivergedError: If the loss is not finite.
    """
    batches = -(-len(dataset) // options.batch_size)
    stepper = Stepper(learner, options, options.epochs * batches)
    with fast_training(learner.model):
        for epoch in range(options.epochs):
            start = time.perf_counter()
            with stepper.computing():
                meter = _train_epoch(stepper, dataset, compute_terms, options, epoch)
            seconds = time.perf_counter() - start
            after_epoch(_summary(epoch + 1, meter, stepper.learning_rate, seconds))
    stepper.release()


def _train_epoch(
    stepper: Stepper, dataset: Dataset, compute_terms: ComputeTerms, options: Training, epoch: int
) -> Meter:
    stepper.model.train()
    order = shuffled_rows(dataset, options.batch_size, options.seed, epoch)
    meter = Meter()
    for index, rows in enumerate(order):
        batch = make_batch(dataset, rows, stepper.device)
        with stepper.cast():
            terms = compute_terms(batch, (epoch + index / len(order)) / options.epochs)
        if index == len(order) - 1:
            meter.gradient_norms = gradient_norms(terms, stepper.weights)
        stepper.step(torch.stack(list(terms.values())).sum())
        meter.add(terms)
    return meter


def _summary(epoch: int, meter: Meter, learning_rate: float, duration_s: float) -> EpochTraining:
    means = meter.means()
    return EpochTraining(
        epoch=epoch,
        loss=sum(means.values()),
        loss_share=shares(means),
        gradient_share=shares(meter.gradient_norms),
        learning_rate=learning_rate,
        duration_s=duration_s,
    )
