"""Which layers train as one operation each, and when."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from kdray.models.first_position import keep_first
from kdray.models.fused_attention import Head
from kdray.models.fused_layer import FusedLayer, Settings
from kdray.models.readable import READABLE, is_plain

# Their layers are the same, but for their names.
_FAMILIES = ("bert", "roberta", "xlm_roberta", "camembert", "electra")
# What records attentions, where they are asked for.
_RECORDING = "transformers.utils.output_capturing"


@contextmanager
def fused_layers(model: nn.Module) -> Iterator[None]:
    """Lets the layers of a model on the CPU train by `FusedLayer` inside the block.

    What they return is the same but for the last bits, and what dropout draws. A layer computes as
    it does outside while it does not train, in float16, or with someone who listens inside it by a
    hook.
    """
    known = [module for module in model.modules() if _is_known(module)]
    layers = known if next(model.parameters()).device.type == "cpu" else []
    for layer in layers:
        layer.forward = partial(_forward, Fused.of(layer), layer.forward)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _is_known(module: Any) -> bool:
    """Returns whether a module is a layer that `FusedLayer` can stand for."""
    if not is_plain(module, _FAMILIES) or not type(module).__name__.endswith("Layer"):
        return False
    activation = type(module.intermediate.intermediate_act_fn).__name__
    plain = not module.is_decoder and activation == "GELUActivation"
    return plain and all(p.requires_grad for p in module.parameters())


@dataclass(frozen=True)
class Fused:
    """A layer, and what is looked up in it once, not at each step."""

    layer: Any
    attention: Any
    output: nn.Module
    inside: tuple[nn.Module, ...]
    weights: tuple[Tensor, ...]
    settings: tuple[Settings, Settings]

    @classmethod
    def of(cls, layer: Any) -> "Fused":
        """Looks a layer up; its settings are those of the whole, and cut to the first position."""
        own, output = layer.attention.self, layer.attention.output
        inside = tuple(layer.modules())[1:]
        settings = (_settings(layer, False), _settings(layer, True))
        return cls(layer, own, output, inside, tuple(_weights(layer)), settings)

    def is_possible(self, is_cut: bool) -> bool:
        """Returns whether the layer trains, as a whole, and nobody listens inside."""
        return (
            self.layer.training
            and torch.is_grad_enabled()
            and not torch.is_autocast_enabled("cpu")
            and self.attention.config._attn_implementation == READABLE
            and all(
                _is_unheard(one, one is self.attention, is_cut and one is self.output)
                for one in self.inside
            )
        )


def _forward(
    fused: Fused,
    plain: Callable[..., Tensor],
    hidden_states: Tensor,
    attention_mask: Tensor | None = None,
    *others: Any,
    **settings: Any,
) -> Tensor:
    """Returns what a layer does, fused where that is possible."""
    is_cut = keep_first in fused.output._forward_pre_hooks.values()
    if not fused.is_possible(is_cut):
        return plain(hidden_states, attention_mask, *others, **settings)
    found: tuple[Tensor, Tensor]
    found = FusedLayer.apply(  # type: ignore[no-untyped-call]  # torch has no types for it
        hidden_states, attention_mask, fused.settings[is_cut], *fused.weights
    )
    for record in fused.attention._forward_hooks.values():
        record(fused.attention, (hidden_states,), (None, found[1]))
    return found[0]


def _is_unheard(module: nn.Module, may_record: bool, is_cut: bool) -> bool:
    heard = len(module._forward_hooks)
    if heard and may_record:
        heard -= sum(hook.__module__ == _RECORDING for hook in module._forward_hooks.values())
    return not heard and len(module._forward_pre_hooks) == int(is_cut)


def _settings(layer: Any, first_only: bool) -> Settings:
    own, output, last = layer.attention.self, layer.attention.output, layer.output
    return Settings(
        Head(own.attention_head_size, own.scaling),
        (own.dropout.p, output.dropout.p, last.dropout.p),
        (output.LayerNorm.eps, last.LayerNorm.eps),
        first_only,
    )


def _weights(layer: Any) -> Iterator[Tensor]:
    """Yields the weights of a layer as `FusedLayer` takes them."""
    own, output, last = layer.attention.self, layer.attention.output, layer.output
    projections = (own.query, own.key, own.value)
    yield from (linear.weight for linear in projections)
    yield from (linear.bias for linear in projections)
    for part in (output.dense, output.LayerNorm, layer.intermediate.dense):
        yield from (part.weight, part.bias)
    for part in (last.dense, last.LayerNorm):
        yield from (part.weight, part.bias)
