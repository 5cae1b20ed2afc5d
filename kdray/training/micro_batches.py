"""The gradient of a step: of one batch at once, or of several, or of parts that fit into memory."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from kdray.data.dataset import Rows
from kdray.models.outputs import release_memory
from kdray.training.stepper import Stepper

Compute = Callable[[Rows], Mapping[str, Tensor]]
# The term that is a mean over the examples with labels.
_OF_LABELS = "hard"


def compute_gradient(
    stepper: Stepper,
    batches: Sequence[Rows],
    compute: Compute,
    labelled: int | None = None,
) -> Mapping[str, Tensor]:
    """Computes the gradient of a step, and leaves it to `Stepper.step`.

    When memory runs out, `stepper.micro_batch_size` is halved for good and the step is done again:
    nothing but random numbers has gone by. Each term of a part counts by the part's share of the
    examples, which gives the mean over all of them where a term is a mean over examples, and a
    value near it where it is one over positions or weighted classes; `hard`, a mean over the
    examples with labels, counts by the part's share of these. What compares the examples of
    a batch with each other compares those of a part.

    Args:
        stepper: What is trained.
        batches: One or more; no part has examples of two.
        compute: From examples to the named terms of their loss.
        labelled: Examples from this one on have no labels, as in `Dataset`; None: all have.

    Returns:
        The terms of the whole step.

    Raises:
        torch.OutOfMemoryError: If not even one example fits.
    """
    while True:
        size = min(stepper.micro_batch_size, max(map(len, batches)))
        try:
            return _in_parts(stepper, _parts(batches, size), compute, labelled)
        except torch.OutOfMemoryError:
            if size == 1:
                raise
        # Outside of the handler: the error holds on to what was computed.
        stepper.micro_batch_size = (size + 1) // 2
        stepper.forget()
        release_memory()


def _parts(batches: Sequence[Rows], size: int) -> list[Rows]:
    return [rows[start : start + size] for rows in batches for start in range(0, len(rows), size)]


def _in_parts(
    stepper: Stepper, parts: Sequence[Rows], compute: Compute, labelled: int | None
) -> Mapping[str, Tensor]:
    if len(parts) == 1:
        terms = compute(parts[0])
        stepper.backward(_sum(terms))
        return terms
    shares = _shares(list(map(len, parts)))
    of_labels = shares if labelled is None else _shares([_before(labelled, p) for p in parts])
    totals: dict[str, Tensor] = {}
    for index, part in enumerate(parts):
        terms = {
            name: term * (of_labels if name == _OF_LABELS else shares)[index]
            for name, term in compute(part).items()
        }
        stepper.backward(_sum(terms), add=index > 0)
        for name, term in terms.items():
            totals[name] = totals[name] + term.detach() if name in totals else term.detach()
    return totals


def _shares(counts: Sequence[int]) -> list[float]:
    return [count / max(1, sum(counts)) for count in counts]


def _before(end: int, rows: Rows) -> int:
    return int(np.count_nonzero(rows < end))


def _sum(terms: Mapping[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()
