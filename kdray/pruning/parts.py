"""Where the units of a transformer stand: BERT, RoBERTa, ELECTRA, DistilBERT and their kin."""

from typing import Any

from torch import nn

from kdray.models.building import layer_list
from kdray.models.heads import Attention, attention_of

_FEED_FORWARD = ("intermediate.dense", "ffn.lin1")
_SIZES = ("intermediate_size", "hidden_dim")
# What transformers makes as wide as the hidden states, behind the last layer.
_BEHIND = ("pooler.dense", "classifier.dense", "pre_classifier")


def attentions(model: Any) -> list[Attention]:
    """Returns the attention of each layer.

    Raises:
        ValueError: If the family is built otherwise, or its layers share their weights.
    """
    return [attention_of(layer, model.config.hidden_size) for layer in layer_list(model)[1]]


def feed_forwards(model: Any) -> list[nn.Linear]:
    """Returns what makes the feed-forward units of each layer.

    Raises:
        ValueError: If the family is built otherwise, or its layers share their weights.
    """
    return [_feed_forward(layer) for layer in layer_list(model)[1]]


def feed_forward_size(config: Any) -> int:
    """Returns how many feed-forward units a configuration gives each layer."""
    return int(getattr(config, _size_key(config)))


def set_feed_forward_size(config: Any, units: int) -> None:
    """Writes how many feed-forward units each layer has into a configuration."""
    setattr(config, _size_key(config), units)


def hidden_root(model: Any) -> nn.Linear | nn.Embedding:
    """Returns where hidden states begin: word embeddings, or ELECTRA's projection of them."""
    projection = getattr(model.base_model, "embeddings_project", None)
    root: nn.Linear | nn.Embedding = (
        model.get_input_embeddings() if projection is None else projection
    )
    return root


def behind_layers(model: nn.Module) -> list[nn.Linear]:
    """Returns the linear layers behind the last layer whose outputs are as wide as its states."""
    return [
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and f".{name}".endswith(tuple(f".{n}" for n in _BEHIND))
    ]


def _feed_forward(layer: nn.Module) -> nn.Linear:
    names = tuple(f".{path}" for path in _FEED_FORWARD)
    found = [
        module
        for name, module in layer.named_modules()
        if isinstance(module, nn.Linear) and f".{name}".endswith(names)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"{type(layer).__name__} has several feed-forward networks")
    raise ValueError(f"{type(layer).__name__} has no feed-forward units that kdray knows")


def _size_key(config: Any) -> str:
    return next(key for key in _SIZES if hasattr(config, key))
