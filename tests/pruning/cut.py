"""What belongs to which unit, by the names of weights: written down apart from any graph."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tests import tiny

# Rows and columns of a weight, by the end of its name without `.weight` and `.bias`.
RULES = (
    (r"(word|position|token_type)_embeddings", (None, "hidden")),
    (r"embeddings_project", ("hidden", None)),
    (r"(LayerNorm|layer_norm)", ("hidden", None)),
    (r"(query|key|value|[qkv]_lin)", ("heads", "hidden")),
    (r"(attention\.output\.dense|out_lin)", ("hidden", "heads")),
    (r"(intermediate\.dense|lin1)", ("ffn", "hidden")),
    (r"(layer\.\d+\.output\.dense|lin2)", ("hidden", "ffn")),
    (r"(pooler\.dense|classifier\.dense|pre_classifier)", ("behind", "hidden")),
    (r"(classifier|out_proj)(\.first)?", (None, "behind")),
    (r"\.second", (None, None)),  # of a head of two layers
)
IDS = torch.tensor([[2, 9, 17, 3], [2, 8, 3, 0]])
# ELECTRA with and without a projection of its embeddings.
FAMILIES: dict[str, dict[str, Any]] = {
    "bert": {},
    "roberta": {},
    "electra": {"embedding_size": 12},
    "electra without projection": {"embedding_size": 16},
    "distilbert": {},
}

Kept = Mapping[str, Sequence[int]]


def model(family: str = "bert", **settings: Any) -> Any:
    """A tiny model with four heads of four, and norms and biases that tell places apart."""
    given = {"heads": 4, **FAMILIES[family], **settings}
    made = tiny.model(family=family.split(maxsplit=1)[0], **given)
    for parameter in made.parameters():
        if parameter.dim() == 1:
            parameter.data.add_(0.1 * torch.randn(parameter.shape))
    return made


def logits(classifier: Any) -> Tensor:
    with torch.no_grad():
        return classifier(input_ids=IDS, attention_mask=(IDS > 0).long()).logits


def units(name: str, tensor: Tensor, kept: Kept) -> list[tuple[int, list[int]]]:
    """Returns the dimensions of a weight that are cut, each with the places that stay.

    Args:
        name: Of the weight.
        tensor: The weight.
        kept: Places by kind of unit; `heads.0` is that of layer 0.
    """
    layer = re.search(r"layer\.(\d+)\.", name)
    stem = name.rpartition(".")[0]
    kinds = next(kinds for rule, kinds in RULES if re.search(rule + "$", stem))
    if "embeddings." in name and "projected" in kept:
        kinds = (None, None)
    found = []
    for dim, kind in enumerate(kinds[: tensor.dim()]):
        own = f"{kind}.{layer[1]}" if layer and kind in ("heads", "ffn") else kind
        if own in kept:
            found.append((dim, list(kept[own])))
    return found


def weaken(classifier: Any, kept: Kept, factor: float) -> Any:
    """Multiplies the weights of all units that do not stay."""
    for name, tensor in classifier.named_parameters():
        for dim, places in units(name, tensor, kept):
            others = torch.tensor(sorted(set(range(tensor.shape[dim])) - set(places)))
            tensor.data.index_copy_(dim, others, tensor.data.index_select(dim, others) * factor)
    return classifier


def sliced(classifier: Any, kept: Kept) -> dict[str, Tensor]:
    """Returns the weights of the units that stay."""
    state = {}
    for name, tensor in classifier.state_dict().items():
        state[name] = tensor.clone()
        for dim, places in units(name, tensor, kept):
            state[name] = state[name].index_select(dim, torch.tensor(places))
    return state


def assert_same_weights(classifier: Any, expected: Mapping[str, Tensor]) -> None:
    state = classifier.state_dict()
    assert state.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(state[name], tensor), name


def in_heads(heads: Sequence[int], size: int = 4) -> list[int]:
    """Returns the places of the units of some heads."""
    return [head * size + offset for head in heads for offset in range(size)]
