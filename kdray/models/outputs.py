"""The one output type of all models, and what to ask a model for."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from kdray.models.dropout import fast_dropout
from kdray.models.readable import READABLE, is_plain, register


@dataclass(frozen=True)
class Needs:
    """What a method reads besides the logits.

    Attributes:
        hidden: Layers whose hidden states are read; 0 is the embedding output.
        attentions: Layers whose attention is read, from 1; there is no attention 0.
    """

    hidden: frozenset[int] = frozenset()
    attentions: frozenset[int] = frozenset()

    def __or__(self, other: "Needs") -> "Needs":
        return Needs(self.hidden | other.hidden, self.attentions | other.attentions)


@dataclass(frozen=True)
class Outputs:
    """What a model says of a batch.

    Attributes:
        logits: (batch, labels).
        hidden: Hidden states of the asked layers, (batch, positions, width).
        attentions: Attention of the asked layers, averaged over heads, (batch, positions,
            positions); a row is what one position attends to.
        mask: 1 at real positions, 0 at padding, (batch, positions); None where nothing is padded.
    """

    logits: Tensor
    hidden: Mapping[int, Tensor] = field(default_factory=dict)
    attentions: Mapping[int, Tensor] = field(default_factory=dict)
    mask: Tensor | None = None


NOTHING = Needs()


def forward(model: nn.Module, inputs: Mapping[str, Tensor], needs: Needs = NOTHING) -> Outputs:
    """Runs a model on a batch.

    Args:
        model: A classifier of the transformers library.
        inputs: The batch by argument name.
        needs: Layers to return.

    Raises:
        RuntimeError: If the model does not return the layers asked for. The default attention of
            transformers returns no attentions, and says nothing; see `with_attentions`.
    """
    output: Any = model(
        **inputs,
        output_hidden_states=bool(needs.hidden),
        output_attentions=bool(needs.attentions),
    )
    hidden = output.hidden_states if needs.hidden else ()
    attentions = output.attentions if needs.attentions else ()
    if needs.hidden and (not hidden or max(needs.hidden) >= len(hidden)):
        raise RuntimeError(f"{type(model).__name__} returned {len(hidden or ())} hidden states")
    if needs.attentions and (not attentions or max(needs.attentions) > len(attentions)):
        raise RuntimeError(f"{type(model).__name__} returned {len(attentions or ())} attentions")
    return Outputs(
        logits=output.logits,
        hidden={layer: hidden[layer] for layer in needs.hidden},
        attentions={layer: attentions[layer - 1].mean(dim=1) for layer in needs.attentions},
        mask=inputs.get("attention_mask"),
    )


def with_attentions(model: nn.Module, wanted: bool) -> nn.Module:
    """Chooses an attention that can be read (see `readable`) or the fastest one; in place."""
    register()
    model.set_attn_implementation(READABLE if wanted else "sdpa")  # type: ignore[operator]
    return model


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


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Lets torch compute on so many threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def best_device() -> torch.device:
    """Returns the GPU of this process if it has one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def release_memory() -> None:
    """Gives the memory of a GPU that nothing refers to any more back to all its processes.

    Without a GPU it does nothing: to look for what is unused would take longer than an empty trial.
    """
    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()
