"""The gradient of a batch: at once, or in parts that fit into memory."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from kdray.data.dataset import Rows
from kdray.models.outputs import release_memory
from kdray.training.stepper import Stepper

Compute = Callable[[Rows], Mapping[str, Tensor]]


def compute_gradient(stepper: Stepper, rows: Rows, compute: Compute) -> Mapping[str, Tensor]:
    """Computes the gradient of one batch, and leaves it to `Stepper.step`.

    When memory runs out, `stepper.micro_batch_size` is halved for good and the batch is done again:
    nothing but random numbers has gone by. Each term of a part counts by the part's share of the
    examples, which gives the whole batch's mean where a term is a mean over examples, and a value
    near it where it is one over positions or weighted classes.

    Args:
        stepper: What is trained.
        rows: The batch.
        compute: From examples to the named terms of their loss.

    Returns:
        The terms of the whole batch.

    Raises:
        torch.OutOfMemoryError: If not even one example fits.
    """
    while True:
        size = min(stepper.micro_batch_size, len(rows))
        try:
            return _in_parts(stepper, rows, compute, size)
        except torch.OutOfMemoryError:
            if size == 1:
                raise
        # Outside of the handler: the error holds on to what was computed.
        stepper.micro_batch_size = (size + 1) // 2
        stepper.forget()
        release_memory()


def _in_parts(stepper: Stepper, rows: Rows, compute: Compute, size: int) -> Mapping[str, Tensor]:
    if size == len(rows):
        terms = compute(rows)
        stepper.backward(_sum(terms))
        return terms
    totals: dict[str, Tensor] = {}
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        terms = {name: t * (len(part) / len(rows)) for name, t in compute(part).items()}
        stepper.backward(_sum(terms), add=start > 0)
        for name, term in terms.items():
            totals[name] = totals[name] + term.detach() if name in totals else term.detach()
    return totals


def _sum(terms: Mapping[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()
