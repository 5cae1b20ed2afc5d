"""How a student classifies: by its first position or the mean of all, through one layer or two.

transformers cannot say it. It stands in the configuration under keys of kdray's own, which
`building.empty_model` reads.
"""

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn

POOLING, HEAD = "kdray_pooling", "kdray_head"
Pooling = Literal["cls", "mean"]
FAMILIES = ("albert", "bert", "distilbert", "electra", "mobilebert", "roberta")


class TwoLayers(nn.Module):
    """W₂ · GELU(W₁ x + b₁) + b₂, in place of one linear layer.

    Args:
        width: Of the pooled features x.
        hidden: Units between the layers.
        labels: Number of labels.
    """

    def __init__(self, width: int, hidden: int, labels: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, hidden)
        self.second = nn.Linear(hidden, labels)

    def forward(self, features: Tensor) -> Tensor:
        """Returns the logits, (batch, labels), of features (batch, width)."""
        logits: Tensor = self.second(nn.functional.gelu(self.first(features)))
        return logits


def change_classifier(model: Any, pooling: Pooling, hidden: int | None) -> None:
    """Lets a model classify in another way, in place; its family's own way changes nothing.

    What the family has between pooling and the last layer, such as BERT's pooler, stays and reads
    the mean instead of the first position. Two layers start with random weights, in torch's global
    seed.

    Reference, for the mean: Reimers and Gurevych, "Sentence-BERT", 2019.
    https://arxiv.org/abs/1908.10084

    Args:
        model: A classifier of one of the families.
        pooling: cls: by the first position; mean: by the mean of all that are no padding.
        hidden: Units of a layer before the last; None: the last layer stays as it is.

    Raises:
        ValueError: If the model is of another family.
    """
    if pooling == "cls" and hidden is None:
        return
    if not is_known(model.config):
        raise ValueError(f"{type(model).__name__} {unknown_family(model.config)}")
    by_mean = pooling == "mean" and not reads_mean(model.config)
    if by_mean:
        setattr(model.config, POOLING, pooling)
    if hidden is not None:
        setattr(model.config, HEAD, hidden)
        _put_two_layers(model, hidden)
        for linear in _two_layers(model):
            nn.init.normal_(linear.weight, std=model.config.initializer_range)
            nn.init.zeros_(linear.bias)
    if by_mean:
        _read_mean(model)


def forget_first_position(model: Any) -> None:
    """Lets the pooler of an encoder that is given a new head begin by passing on what it is given.

    A pretrained pooler was trained on first positions, or not at all. That of a sentence encoder
    lets a sixth of what tells means apart through, and learns slowly. Families without a pooler
    have a new layer in its place anyway.

    Args:
        model: A classifier, changed in place: y = tanh(W x + b) with W = 1, b = 0.
    """
    pooler = getattr(model.base_model, "pooler", None)
    dense = pooler if isinstance(pooler, nn.Linear) else getattr(pooler, "dense", None)
    if dense is not None:
        nn.init.eye_(dense.weight)
        nn.init.zeros_(dense.bias)


def build_classifier(model: Any) -> None:
    """Gives a model that was just made the classifier that its configuration says, in place."""
    hidden = getattr(model.config, HEAD, None)
    if hidden is not None:
        _put_two_layers(model, hidden)
    if reads_mean(model.config):
        _read_mean(model)


def _put_two_layers(model: Any, hidden: int) -> None:
    there = _two_layers(model)
    first, last = there or (classification_layer(model),) * 2
    old = next((module for module in model.modules() if isinstance(module, TwoLayers)), first)
    name = next(name for name, module in model.named_modules() if module is old)
    model.set_submodule(name, TwoLayers(first.in_features, hidden, last.out_features))


def _read_mean(model: Any) -> None:
    model.base_model.register_forward_hook(_pool, with_kwargs=True)


def reads_mean(config: Any) -> bool:
    """Returns whether a model with this configuration classifies by the mean of all positions."""
    return getattr(config, POOLING, "cls") == "mean"


def is_known(config: Any) -> bool:
    """Returns whether a model with this configuration can be given another classifier."""
    return config.model_type in FAMILIES


def unknown_family(config: Any) -> str:
    """Returns in words why another classifier cannot be given to a model that is not known."""
    return f"is of family {config.model_type!r}, but pooling and head are for {', '.join(FAMILIES)}"


def classification_layer(model: Any) -> nn.Linear:
    """Returns what reads the pooled features: the last linear layer with an output a label.

    Of two layers that are in its place it is the first.

    Raises:
        RuntimeError: If there is none.
    """
    for linear in _two_layers(model):
        return linear
    labels = model.config.num_labels
    linears = [module for module in model.modules() if isinstance(module, nn.Linear)]
    found = [linear for linear in linears if linear.out_features == labels]
    if not found:
        raise RuntimeError(f"{type(model).__name__} has no linear layer with {labels} outputs")
    return found[-1]


def mean_state(states: Tensor, mask: Tensor | None) -> Tensor:
    """Returns the mean of the hidden states at real positions, (batch, width).

    Args:
        states: (batch, positions, width).
        mask: 1 at real positions, 0 at padding, (batch, positions); None where nothing is padded.
    """
    if mask is None:
        return states.mean(1)
    real = mask.float()
    share = real / real.sum(1, keepdim=True).clamp(min=1)
    return (states * share.unsqueeze(-1).to(states.dtype)).sum(1)


def _two_layers(model: Any) -> tuple[nn.Linear, ...]:
    for module in model.modules():
        if isinstance(module, TwoLayers):
            return module.first, module.second
    return ()


def _pool(encoder: Any, inputs: Any, named: Mapping[str, Any], output: Any) -> Any:
    """Puts the mean where a classifier reads the first position; hidden states stay as they are."""
    mean = mean_state(output.last_hidden_state, named.get("attention_mask"))
    pooler = getattr(encoder, "pooler", None)
    if pooler is None:
        output.last_hidden_state = mean.unsqueeze(1)
    elif isinstance(pooler, nn.Linear):  # as ALBERT has it
        output.pooler_output = encoder.pooler_activation(pooler(mean))
    else:
        output.pooler_output = pooler(mean.unsqueeze(1))
    return output
