"""Attention heads: where a layer has them, and models whose layers have unequal numbers of them.

transformers cannot say unequal numbers. They stand in the configuration under a key of kdray's own,
which `building.empty_model` reads.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

HEADS_KEPT = "heads_kept"
# Where BERT, RoBERTa and ELECTRA have it, and where DistilBERT does.
_PLACES = (
    ("attention.self", ("query", "key", "value"), "attention.output.dense"),
    ("attention", ("q_lin", "k_lin", "v_lin"), "attention.out_lin"),
)
_COUNTS, _WIDTHS = ("num_attention_heads", "n_heads"), ("all_head_size", "dim")


@dataclass(frozen=True)
class Attention:
    """The attention of one layer.

    Attributes:
        module: What knows the number of its heads.
        projections: Query, key and value: a head is `head_size` neighbouring outputs of each.
        output: What joins the heads, which are its inputs.
        head_size: Width of a head.
    """

    module: nn.Module
    projections: tuple[nn.Linear, ...]
    output: nn.Linear
    head_size: int

    @property
    def heads(self) -> int:
        """How many heads there are."""
        return self.projections[0].out_features // self.head_size

    def count_heads(self) -> None:
        """Tells the module how many heads its projections have."""
        for names, value in ((_COUNTS, self.heads), (_WIDTHS, self.heads * self.head_size)):
            for name in names:
                if hasattr(self.module, name):
                    setattr(self.module, name, value)


def attention_of(layer: nn.Module, width: int) -> Attention:
    """Returns the attention of a layer of BERT, RoBERTa, ELECTRA, DistilBERT and their kin.

    Args:
        layer: The layer.
        width: The model's hidden size; families whose attention has another are built otherwise.

    Raises:
        ValueError: If the layer is built otherwise.
    """
    for path, projections, output in _PLACES:
        try:
            module = layer.get_submodule(path)
            linears = [module.get_submodule(name) for name in projections]
            linears.append(layer.get_submodule(output))
            size = int(module.attention_head_size)  # type: ignore[arg-type]  # as families have it
        except AttributeError:
            continue
        known = [linear for linear in linears if isinstance(linear, nn.Linear)]
        if len(known) == 4 and known[0].in_features == known[3].out_features == width:
            return Attention(module, tuple(known[:3]), known[3], size)
    raise ValueError(f"{type(layer).__name__} has no attention heads that kdray knows")


def resize_heads(layers: Iterable[nn.Module], width: int, heads: Sequence[int]) -> None:
    """Leaves each layer so many of its heads as are said, the first ones, in place.

    Args:
        layers: All layers of a model.
        width: Its hidden size.
        heads: By layer.
    """
    for layer, count in zip(layers, heads, strict=True):
        attention = attention_of(layer, width)
        kept = count * attention.head_size
        for linear in attention.projections:
            linear.out_features = kept
            linear.weight = _own(linear.weight[:kept])
            if linear.bias is not None:
                linear.bias = _own(linear.bias[:kept])
        attention.output.in_features = kept
        attention.output.weight = _own(attention.output.weight[:, :kept])
        attention.count_heads()


def note_heads(config: Any, heads: Sequence[int]) -> None:
    """Writes the heads of each layer into a configuration, unless it says them anyway."""
    if any(count != config.num_attention_heads for count in heads):
        setattr(config, HEADS_KEPT, list(heads))
    elif hasattr(config, HEADS_KEPT):
        delattr(config, HEADS_KEPT)


def _own(part: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(part.detach().clone(memory_format=torch.contiguous_format))
