"""The training loop.

A loss is given as named terms, so that the loop can tell what each of them contributes.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from kdray.config.sections import Training
from kdray.data.batches import Batch, make_batch, shuffled_rows
from kdray.data.dataset import Dataset, Rows
from kdray.models.fast_training import fast_training
from kdray.models.recomputing import recomputing
from kdray.training.meter import Meter, gradient_norms, shares
from kdray.training.micro_batches import compute_gradient
from kdray.training.stepper import Learner, Stepper
from kdray.waiting import progress

TRAINING = "training"
ComputeTerms = Callable[[Batch, float], Mapping[str, Tensor]]
# Returns true to end the training.
AfterEpoch = Callable[["EpochTraining"], bool | None]


@dataclass(frozen=True)
class EpochTraining:
    """What happened in one epoch.

    Attributes:
        epoch: From 1.
        loss: Mean of the sum of all terms.
        loss_share: Share of each term in the loss, by name.
        gradient_share: Share of each term in the sum of the terms' gradient norms, measured on
            the epoch's last full batch with labels, or part of it: a term that does nothing shows
            a share near 0.
        learning_rate: At the end of the epoch.
        duration_s: Seconds, without what is done after the epoch.
        micro_batch_size: Most examples at once: less than a batch where memory ran out.
    """

    epoch: int
    loss: float
    loss_share: Mapping[str, float]
    gradient_share: Mapping[str, float]
    learning_rate: float
    duration_s: float
    micro_batch_size: int


@dataclass(frozen=True)
class Lane:
    """One of the models that train side by side.

    Attributes:
        stepper: From `new_stepper`.
        dataset: Its training set; all have as many examples of the same lengths.
        compute_terms: As in `train`.
    """

    stepper: Stepper
    dataset: Dataset
    compute_terms: ComputeTerms


def train(
    learner: Learner,
    dataset: Dataset,
    compute_terms: ComputeTerms,
    options: Training,
    after_epoch: AfterEpoch,
) -> None:
    """Trains a model in place.

    Args:
        learner: What is trained.
        dataset: The training set.
        compute_terms: From a batch and the progress in [0, 1) to the named terms of the loss.
        options: Epochs, batch size, optimizer, precision, seed.
        after_epoch: Called after each epoch; if it returns true, or raises, the training ends.

    Raises:
        DivergedError: If the loss is not finite.
    """
    train_epochs(new_stepper(learner, dataset, options), dataset, compute_terms, after_epoch)


def new_stepper(learner: Learner, dataset: Dataset, options: Training, done: int = 0) -> Stepper:
    """Returns what takes the steps of a training, or of what is left of it after some epochs."""
    steps = steps_an_epoch(len(dataset), options)
    return Stepper(learner, options, options.epochs * steps, done * steps)


def steps_an_epoch(examples: int, options: Training) -> int:
    """Returns the steps of an epoch; the last may have fewer batches, and a batch fewer examples.

    Args:
        examples: Of the training set.
        options: Batch size, and batches a step.
    """
    batches = -(-examples // options.batch_size)
    return -(-batches // options.gradient_accumulation)


def train_epochs(
    stepper: Stepper,
    dataset: Dataset,
    compute_terms: ComputeTerms,
    after_epoch: AfterEpoch,
    epochs: range | None = None,
) -> None:
    """Trains as `train` does, some of the epochs.

    Args:
        stepper: From `new_stepper`, as it is after the epochs before.
        dataset: The training set.
        compute_terms: As in `train`.
        after_epoch: As in `train`, after each of these epochs.
        epochs: Which, from 0; None: all.

    Raises:
        DivergedError: If the loss is not finite.
    """
    some = range(stepper.options.epochs) if epochs is None else epochs
    lane = Lane(stepper, dataset, compute_terms)
    train_side_by_side([lane], lambda trained: after_epoch(trained[0]), some)


def train_side_by_side(
    lanes: Sequence[Lane],
    after_epoch: Callable[[Sequence[EpochTraining]], bool | None],
    epochs: range,
) -> None:
    """Trains models that take each step in turn, so that one may learn from the others of now.

    Args:
        lanes: The models; with the same seed and batch size all see the same batches.
        after_epoch: Takes what happened to each in an epoch; if it returns true, or raises, the
            training of all ends.
        epochs: Which, from 0.

    Raises:
        DivergedError: If a loss is not finite.
    """
    with ExitStack() as stack:
        for lane in lanes:
            model, options = lane.stepper.model, lane.stepper.options
            stack.enter_context(fast_training(model))
            stack.enter_context(recomputing(model, options.gradient_checkpointing))
        for epoch in epochs:
            start = time.perf_counter()
            meters = _train_epoch(lanes, epoch)
            seconds = time.perf_counter() - start
            trained = [
                _summary(epoch + 1, meter, lane.stepper, seconds)
                for lane, meter in zip(lanes, meters, strict=True)
            ]
            if after_epoch(trained):
                break
    progress(TRAINING, 1, 1)
    for lane in lanes:
        lane.stepper.release()


def _train_epoch(lanes: Sequence[Lane], epoch: int) -> list[Meter]:
    meters = [Meter() for _ in lanes]
    with ExitStack() as stack:
        for lane in lanes:
            stack.enter_context(lane.stepper.computing())
            lane.stepper.model.train()
        steps = [_steps(lane, epoch, meter) for lane, meter in zip(lanes, meters, strict=True)]
        for _ in zip(*steps, strict=True):
            pass
    return meters


def _steps(lane: Lane, epoch: int, meter: Meter) -> Iterator[None]:
    """Yields after each step of an epoch."""
    stepper, dataset, compute_terms = lane.stepper, lane.dataset, lane.compute_terms
    options = stepper.options
    batches = shuffled_rows(dataset, options.batch_size, options.seed, epoch)
    shown = _shown(batches, dataset.labelled)
    together = options.gradient_accumulation
    order = [batches[i : i + together] for i in range(0, len(batches), together)]

    def compute(index: int, rows: Rows) -> Mapping[str, Tensor]:
        batch = make_batch(dataset, rows, stepper.device)
        with stepper.cast():
            terms = compute_terms(batch, (epoch + index / len(order)) / options.epochs)
        if shown in rows:
            meter.gradient_norms = gradient_norms(terms, stepper.weights, stepper.loss_scale)
        return terms

    for index, some in enumerate(order):
        stepper.before_step(stepper, epoch * len(order) + index, options.epochs * len(order))
        terms = compute_gradient(stepper, some, partial(compute, index), dataset.labelled)
        stepper.step()
        meter.add(terms)
        progress(TRAINING, epoch * len(order) + index + 1, options.epochs * len(order) + 1)
        yield


def _shown(batches: Sequence[Rows], labelled: int | None) -> int:
    """Returns the example whose batch, or part of one, shows what each term contributes.

    It is one of a full batch, the last, and has labels if an example of a full batch has.
    """
    size = max(map(len, batches))
    full = [rows for rows in batches if len(rows) == size]
    known = full if labelled is None else [rows[rows < labelled] for rows in full]
    return int(next(rows for rows in reversed([*full, *known]) if len(rows))[0])


def _summary(epoch: int, meter: Meter, stepper: Stepper, duration_s: float) -> EpochTraining:
    means = meter.means()
    return EpochTraining(
        epoch=epoch,
        loss=sum(means.values()),
        loss_share=shares(means),
        gradient_share=shares(meter.gradient_norms),
        learning_rate=stepper.learning_rate,
        duration_s=duration_s,
        micro_batch_size=stepper.micro_batch_size,
    )
