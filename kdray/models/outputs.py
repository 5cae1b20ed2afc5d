"""The one output type of all models, and what to ask a model for."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from kdray.models.catching import catching, pooled_features, queries_keys_values
from kdray.models.ensemble import Votes
from kdray.models.readable import READABLE, register


@dataclass(frozen=True)
class Needs:
    """What a method reads besides the logits.

    Attributes:
        hidden: Layers whose hidden states are read; 0 is the embedding output.
        attentions: Layers whose attention is read, from 1; there is no attention 0.
        queries_keys_values: Layers whose queries, keys and values are read, from 1.
        first: Layers whose hidden state of the first position ([CLS]) is read; 0 is the embedding
            output.
        features: Whether the pooled features are read: what the last classification layer reads,
            before its dropout.
        bank: At most so many rows of the teacher's pooled features of further training examples
            are read with each batch.
    """

    hidden: frozenset[int] = frozenset()
    attentions: frozenset[int] = frozenset()
    queries_keys_values: frozenset[int] = frozenset()
    first: frozenset[int] = frozenset()
    features: bool = False
    bank: int = 0

    def __or__(self, other: "Needs") -> "Needs":
        layers = {kind: getattr(self, kind) | getattr(other, kind) for kind in LAYERED}
        features, bank = self.features or other.features, max(self.bank, other.bank)
        return Needs(**layers, features=features, bank=bank)

    @property
    def positions(self) -> bool:
        """Whether something of single positions is read, so that tokens have to be the same."""
        return bool(self.hidden or self.attentions or self.queries_keys_values)


# What there is of each layer, by its name in `Needs` and in `Outputs`.
LAYERED = ("hidden", "attentions", "queries_keys_values", "first")


@dataclass(frozen=True)
class Outputs:
    """What a model says of a batch.

    Attributes:
        logits: (batch, labels).
        hidden: Hidden states of the asked layers, (batch, positions, width).
        attentions: Attention of the asked layers, averaged over heads, (batch, positions,
            positions); a row is what one position attends to.
        queries_keys_values: Queries, keys and values of the asked layers, (batch, positions, 3,
            width); heads lie side by side in the width.
        first: Hidden state of the first position of the asked layers, (batch, width).
        features: What the last classification layer reads, before its dropout, (batch, width);
            None if not asked for.
        bank: The same of further training examples, (rows, width); None if not asked for.
        mask: 1 at real positions, 0 at padding, (batch, positions); None where nothing is padded.
        votes: What each member of an ensemble says; all else is its first member's. None for one
            model.
    """

    logits: Tensor
    hidden: Mapping[int, Tensor] = field(default_factory=dict)
    attentions: Mapping[int, Tensor] = field(default_factory=dict)
    queries_keys_values: Mapping[int, Tensor] = field(default_factory=dict)
    first: Mapping[int, Tensor] = field(default_factory=dict)
    features: Tensor | None = None
    bank: Tensor | None = None
    mask: Tensor | None = None
    votes: Votes | None = None


NOTHING = Needs()


def forward(model: nn.Module, inputs: Mapping[str, Tensor], needs: Needs = NOTHING) -> Outputs:
    """Runs a model on a batch.

    Args:
        model: A classifier of the transformers library.
        inputs: The batch by argument name.
        needs: What to return, but for the bank, which no model has.

    Raises:
        RuntimeError: If the model does not give what is asked for. The default attention of
            transformers returns no attentions, and says nothing; see `with_attentions`.
    """
    states = needs.hidden | needs.first
    with catching(model, needs.features, needs.queries_keys_values) as caught:
        output: Any = model(
            **inputs,
            output_hidden_states=bool(states),
            output_attentions=bool(needs.attentions),
        )
    hidden = output.hidden_states if states else ()
    attentions = output.attentions if needs.attentions else ()
    if states and (not hidden or max(states) >= len(hidden)):
        raise RuntimeError(f"{type(model).__name__} returned {len(hidden or ())} hidden states")
    if needs.attentions and (not attentions or max(needs.attentions) > len(attentions)):
        raise RuntimeError(f"{type(model).__name__} returned {len(attentions or ())} attentions")
    asked = needs.queries_keys_values
    return Outputs(
        logits=output.logits,
        hidden={layer: hidden[layer] for layer in needs.hidden},
        attentions={layer: attentions[layer - 1].mean(dim=1) for layer in needs.attentions},
        queries_keys_values=queries_keys_values(model, caught, asked) if asked else {},
        first={layer: hidden[layer][:, 0] for layer in needs.first},
        features=pooled_features(model, caught) if needs.features else None,
        mask=inputs.get("attention_mask"),
    )


def with_attentions(model: nn.Module, wanted: bool) -> nn.Module:
    """Chooses an attention that can be read (see `readable`) or the fastest one; in place."""
    register()
    model.set_attn_implementation(READABLE if wanted else "sdpa")  # type: ignore[operator]
    return model


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
