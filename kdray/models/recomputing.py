"""Less memory for more time: layers computed again in the backward pass, instead of kept."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Says that a cache is not used; no encoder has one.
_CHATTY = "transformers.utils.generic"


@contextmanager
def recomputing(model: Any, wanted: bool) -> Iterator[None]:
    """Lets the layers of a model be computed twice inside the block, while it is training.

    What they return is the same, dropout included: a layer is given its random numbers again.

    Reference: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.
    https://arxiv.org/abs/1604.06174

    Args:
        model: A classifier.
        wanted: Without it, nothing happens.

    Raises:
        ValueError: If its family cannot.
    """
    if not wanted:
        yield
        return
    model.activation_checkpointing_enable({"use_reentrant": False})
    # What comes of frozen embeddings then needs no gradient either, and is read where none is.
    model.disable_input_require_grads()
    logger = logging.getLogger(_CHATTY)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        model.activation_checkpointing_disable()


def can_recompute(model: Any) -> bool:
    """Returns whether a model's family can compute its layers again."""
    return bool(getattr(model, "supports_gradient_checkpointing", False))
