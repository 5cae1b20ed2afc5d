"""What a model computes on its way to the logits and does not return, caught by hooks.

Families name their parts differently, and not each has a pooler. What the last classification layer
reads, and what the projections of an attention return, can be caught in all of them.
"""

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from kdray.models.classifier import classification_layer
from kdray.models.dropout import FastDropout

# In BERT and its kin, and in DistilBERT.
_NAMES = (("query", "key", "value"), ("q_lin", "k_lin", "v_lin"))


@dataclass(frozen=True)
class Caught:
    """What went through a model, in the order of its calls.

    Attributes:
        features: The input of the last classification layer, before dropout, by call.
        projected: What the projections to queries, keys and values returned, each by call; None
            where nobody asked for it.
    """

    features: list[Tensor] = field(default_factory=list)
    projected: tuple[list[Tensor | None], ...] = field(default_factory=lambda: ([], [], []))


@contextmanager
def catching(model: Any, features: bool, layers: Collection[int]) -> Iterator[Caught]:
    """Catches what is asked for of each forward pass inside the block.

    Args:
        model: A classifier.
        features: Whether what its last classification layer reads is asked for, before the
            dropout of a model that is training: that is noise of the classifier's alone.
        layers: Layers whose queries, keys and values are asked for, from 1.
    """
    caught = Caught()
    with ExitStack() as hooks:
        for hook in _feature_hooks(model, caught.features) if features else ():
            hooks.callback(hook.remove)
        for attention in projections(model) if layers else ():
            for linear, into in zip(attention, caught.projected, strict=True):
                noted = linear.register_forward_hook(partial(_note, into, layers))
                hooks.callback(noted.remove)
        yield caught


def _feature_hooks(model: nn.Module, into: list[Tensor]) -> list[RemovableHandle]:
    latest: list[Tensor] = []  # what the last dropout was given, and what it made of it

    def note(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        latest[:] = [inputs[0], output]

    def read(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        dropped = latest and latest[1] is inputs[0]
        into.append(latest[0] if dropped else inputs[0])

    dropouts = [one for one in model.modules() if isinstance(one, nn.Dropout | FastDropout)]
    hooks = [dropout.register_forward_hook(note) for dropout in dropouts]
    return [*hooks, classification_layer(model).register_forward_pre_hook(read)]


def pooled_features(model: Any, caught: Caught) -> Tensor:
    """Returns what the last classification layer read in one pass, (batch, width), no dropout.

    Raises:
        RuntimeError: If it read something else than one row an example.
    """
    if len(caught.features) != 1 or caught.features[0].dim() != 2:
        shapes = [tuple(tensor.shape) for tensor in caught.features]
        raise RuntimeError(
            f"{type(model).__name__} has no pooled features: its last classification layer reads "
            f"{shapes or 'nothing'}, not one row an example"
        )
    return caught.features[0]


def queries_keys_values(model: Any, caught: Caught, layers: Collection[int]) -> dict[int, Tensor]:
    """Returns the queries, keys and values of some layers in one pass, by layer.

    Returns:
        (batch, positions, 3, width) each; heads lie side by side in the width.

    Raises:
        RuntimeError: If not each layer projected once, or a layer is not there.
    """
    total, calls = model.config.num_hidden_layers, [len(part) for part in caught.projected]
    if calls != [total] * 3 or not all(1 <= layer <= total for layer in layers):
        raise RuntimeError(
            f"{type(model).__name__} with {total} layers returned queries, keys and values of "
            f"{calls}, but layers {sorted(layers)} were asked for"
        )
    found = {}
    for layer in layers:
        parts = [part[layer - 1] for part in caught.projected]
        found[layer] = torch.stack([part for part in parts if part is not None], dim=2)
    return found


def projections(model: nn.Module) -> list[tuple[nn.Linear, ...]]:
    """Returns the projections to queries, keys and values of every attention of a model.

    Raises:
        RuntimeError: If there are none under the names that kdray knows.
    """
    found = []
    for module in model.modules():
        for names in _NAMES:
            parts = [getattr(module, name, None) for name in names]
            linears = tuple(part for part in parts if isinstance(part, nn.Linear))
            if len(linears) == len(names):
                found.append(linears)
    if not found:
        raise RuntimeError(f"{type(model).__name__} has no queries, keys and values to read")
    return found


def projected_widths(model: Any) -> list[int]:
    """Returns the width of the queries, keys and values of each layer.

    Raises:
        RuntimeError: As `projections`.
    """
    widths = [linears[0].out_features for linears in projections(model)]
    total: int = model.config.num_hidden_layers
    # Where layers share their weights, they are alike.
    return widths if len(widths) == total else widths[:1] * total


def _note(
    into: list[Tensor | None],
    layers: Collection[int],
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    output: Tensor,
) -> None:
    into.append(output if len(into) + 1 in layers else None)
