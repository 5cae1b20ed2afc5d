"""Training on a CPU with the dropout and the attention that are faster there."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from kdray.models.dropout import fast_dropout
from kdray.models.outputs import with_attentions
from kdray.models.readable import is_plain


@contextmanager
def fast_training(model: nn.Module) -> Iterator[None]:
    """Lets a model on the CPU train with the faster dropout and attention inside the block."""
    config: Any = getattr(model, "config", None)
    fused = getattr(config, "_attn_implementation", None) == "sdpa"
    swap = fused and is_plain(model) and next(model.parameters()).device.type == "cpu"
    with fast_dropout(model):
        try:
            if swap:
                with_attentions(model, True)
            yield
        finally:
            if swap:
                with_attentions(model, False)
