"""A few training texts on which a method sees what a student's weights do."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from torch import nn

from kdray.data.batches import Batch, make_batch
from kdray.pruning.base import Prunable

# Of texts in a batch: several small ones tell more of single texts than one large one.
CALIBRATION_BATCH = 16
# Which texts are drawn depends on nothing else, so that trials differ in what is searched alone.
_SEED = 0


def calibration_batches(student: Prunable, texts: int) -> list[Batch]:
    """Returns random training texts, in batches of 16 of similar length, on the model's device.

    They are the same at every call, whatever the trial's seed.

    Args:
        student: Its encoded training set is drawn from, without replacement.
        texts: How many; all where there are fewer.
    """
    train = student.splits["train"]
    drawn = np.random.default_rng(_SEED).permutation(len(train))[:texts]
    rows = drawn[np.argsort(train.lengths[drawn], kind="stable")]
    device = next(student.model.parameters()).device
    starts = range(0, len(rows), CALIBRATION_BATCH)
    return [make_batch(train, rows[start : start + CALIBRATION_BATCH], device) for start in starts]


@contextmanager
def calibrating(model: nn.Module) -> Iterator[None]:
    """Lets a model run without dropout inside the block; then each module is in its mode again."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
