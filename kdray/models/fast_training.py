"""Training on a CPU with the dropout, the attention and the layers that are faster there."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from kdray.models.dropout import fast_dropout
from kdray.models.fusing import fused_layers
from kdray.models.outputs import with_attentions
from kdray.models.readable import is_plain


@contextmanager
def fast_training(model: nn.Module) -> Iterator[None]:
    """Lets a model on the CPU train with what is faster there inside the block."""
    config: Any = getattr(model, "config", None)
    fused = getattr(config, "_attn_implementation", None) == "sdpa"
    swap = fused and is_plain(model) and next(model.parameters()).device.type == "cpu"
    with fast_dropout(model), fused_layers(model):
        try:
            if swap:
                with_attentions(model, True)
            yield
        finally:
            if swap:
                with_attentions(model, False)
