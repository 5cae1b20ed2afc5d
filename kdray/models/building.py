"""Building classifiers: from a shape, or from a state in shared memory."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from kdray.config.sections import Architecture
from kdray.data.base import Labels
from kdray.models.classifier import POOLING, build_classifier
from kdray.models.heads import HEADS_KEPT, note_heads, resize_heads
from kdray.models.sources import OWN_CODE

BERT_RANGE, BERT_WIDTH = 0.02, 768
_PROBLEM_TYPES = {
    "multi_label": "multi_label_classification",
    "single_label": "single_label_classification",
}


@dataclass(frozen=True)
class ModelState:
    """A model as plain values: it travels through shared memory and is built anywhere.

    Attributes:
        config: The transformers configuration, with its `model_type`.
        weights: Every tensor of the state dict, read-only.
        own_code: Whether the model is of a class that came with it, which the user trusts.
    """

    config: Mapping[str, Any]
    weights: Mapping[str, npt.NDArray[np.generic]]
    own_code: bool = False


def freeze(model: Any) -> ModelState:
    """Returns a copy of a model's state that cannot be written to."""
    weights = {}
    for name, tensor in model.state_dict().items():
        array = tensor.detach().cpu().numpy().copy()
        array.flags.writeable = False
        weights[name] = array
    return ModelState(model.config.to_dict(), weights, has_own_code(model))


def has_own_code(model: Any) -> bool:
    """Returns whether a model is of a class that came with it: transformers marks it."""
    return getattr(model, "_auto_class", None) is not None


def thaw(state: ModelState) -> Any:
    """Returns a new model with a copy of a state's weights, in evaluation mode.

    Nothing is drawn at random first: every parameter comes from the state, every other buffer
    (positions) from the model's own constructor.
    """
    return _built(state, {name: torch.tensor(array) for name, array in state.weights.items()})


def borrow(state: ModelState) -> Any:
    """Returns a model whose weights are a state's own memory, in evaluation mode: no copy.

    It is for reading alone: to write to its weights on the CPU may end the process.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        weights = {name: torch.from_numpy(array) for name, array in state.weights.items()}
    return _built(state, weights).requires_grad_(False)


def _built(state: ModelState, weights: Mapping[str, torch.Tensor]) -> Any:
    model = empty_model(state)
    model.load_state_dict(weights, assign=True)
    return model.eval()


def empty_model(state: ModelState) -> Any:
    """Returns a model of a state's shape whose weights are whatever was in memory."""
    from transformers import AutoModelForSequenceClassification
    from transformers.initialization import no_init_weights

    config = config_of(state)
    with no_init_weights():
        model = AutoModelForSequenceClassification.from_config(
            config, trust_remote_code=state.own_code
        )
        build_classifier(model)
    heads = getattr(config, HEADS_KEPT, None)
    if heads is not None:
        resize_heads(layer_list(model)[1], config.hidden_size, heads)
    return model


def config_of(state: ModelState) -> Any:
    """Returns a state's transformers configuration, which has the same names in every family."""
    from transformers import AutoConfig

    settings = dict(state.config)
    own = settings.get(OWN_CODE, {}).get("AutoConfig") if state.own_code else None
    if own is None:
        return AutoConfig.for_model(settings.pop("model_type"), **settings)
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    kind = get_class_from_dynamic_module(own, settings["_name_or_path"])
    kind.register_for_auto_class()
    return kind.from_dict(settings)


def without_mean(state: ModelState) -> ModelState:
    """Returns the state of a model that classifies by its first position."""
    config = {key: value for key, value in state.config.items() if key != POOLING}
    return replace(state, config=config)


def new_classifier(shape: Architecture, tokenizer: Any, labels: Labels, max_length: int) -> Any:
    """Returns a BERT classifier with random weights, in torch's global seed.

    BERT's range of initial weights (0.02) belongs to its width (768); a narrower model needs larger
    ones for outputs of the same size, and learns from few texts much worse without.
    """
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=len(tokenizer),
        num_hidden_layers=shape.layers,
        hidden_size=shape.hidden_size,
        num_attention_heads=shape.heads,
        intermediate_size=shape.intermediate_size,
        max_position_embeddings=max_length,
        pad_token_id=tokenizer.pad_token_id or 0,
        initializer_range=BERT_RANGE * (BERT_WIDTH / shape.hidden_size) ** 0.5,
        **label_settings(labels),
    )
    return BertForSequenceClassification(config).eval()


def label_settings(labels: Labels) -> dict[str, Any]:
    """Returns the part of a transformers configuration that says what is predicted."""
    return {
        "id2label": dict(enumerate(labels.names)),
        "label2id": {name: index for index, name in enumerate(labels.names)},
        "problem_type": _PROBLEM_TYPES[labels.kind],
    }


def keep_layers(model: Any, count: int) -> Any:
    """Cuts a model to `count` evenly spaced layers, in place: layer i is a copy of ⌈i·m/n⌉.

    Raises:
        ValueError: If the model has fewer layers, or shares one among all.
    """
    total = model.config.num_hidden_layers
    if not 1 <= count <= total:
        raise ValueError(f"layers must be 1 to {total}, but got {count}")
    if count == total:
        return model
    return choose_layers(model, [index - 1 for index in spaced(count, total)])


def choose_layers(model: Any, chosen: Sequence[int]) -> Any:
    """Cuts a model to some of its layers, from 0, in place.

    Raises:
        ValueError: If it shares one layer among all.
    """
    path, layers = layer_list(model)
    parent = model.get_submodule(path.rpartition(".")[0])
    setattr(parent, path.rpartition(".")[2], nn.ModuleList(layers[index] for index in chosen))
    model.config.num_hidden_layers = len(chosen)
    heads = getattr(model.config, HEADS_KEPT, None)
    if heads is not None:
        note_heads(model.config, [heads[index] for index in chosen])
    return model


def layer_list(model: Any) -> tuple[str, nn.ModuleList]:
    """Returns the dotted name and the list of a model's transformer layers.

    Raises:
        ValueError: If it has none, as families that share one layer among all.
    """
    total = model.config.num_hidden_layers
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == total:
            return name, module
    raise ValueError(f"{type(model).__name__} has no list of layers to choose from")


def spaced(count: int, total: int) -> list[int]:
    """Returns `count` evenly spaced layers of `total`, from 1: ⌈i·total/count⌉."""
    return [math.ceil(i * total / count) for i in range(1, count + 1)]
