"""A layer written out: what it returns, and its gradients, are those of the layer as it is."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kdray.models.first_position import first_position_only
from kdray.models.fused_attention import Head, end_to_end
from kdray.models.fused_layer import FusedLayer, Settings
from kdray.models.fusing import fused_layers
from kdray.models.outputs import NOTHING, Needs, Outputs, forward, with_attentions
from tests import tiny

INPUTS = {
    "input_ids": torch.tensor([[2, 9, 17, 3, 0], [2, 8, 3, 0, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 0, 0]]),
}
FAMILIES = ("bert", "roberta", "electra")


def readable(family: str = "bert", dropout: float = 0.0, **settings: Any) -> Any:
    """Returns a model that is training, in float64, with the attention that trains on a CPU."""
    model = with_attentions(tiny.model(family=family, **settings), True).double().train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
    return model


def loss_of(found: Outputs) -> Tensor:
    """Returns a number that depends on all that was read."""
    parts = [found.logits, *found.hidden.values(), *found.attentions.values()]
    return torch.stack([(part.pow(2) + part.sin()).sum() for part in parts]).sum()


def gradients(model: nn.Module, needs: Needs) -> tuple[float, list[Tensor]]:
    """Returns the loss of a pass, and its gradients."""
    model.zero_grad()
    loss = loss_of(forward(model, INPUTS, needs))
    torch.autograd.backward(loss)
    return loss.item(), [p.grad.clone() for p in model.parameters() if p.grad is not None]


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings of each layer that was computed as one operation."""
    settings: list[Settings] = []
    apply = FusedLayer.apply

    def noted(*arguments: Any) -> Any:
        settings.append(arguments[2])
        return apply(*arguments)

    monkeypatch.setattr(FusedLayer, "apply", noted)
    return settings


@pytest.mark.parametrize("needs", [NOTHING, Needs(frozenset({0, 1}), frozenset({1, 2}))])
@pytest.mark.parametrize("cut", [False, True], ids=["whole", "first position"])
@pytest.mark.parametrize("family", FAMILIES)
def test_outputs_and_gradients_are_those_of_the_layer_as_it_is(
    family: str, cut: bool, needs: Needs, fused: list[Settings]
) -> None:
    model = readable(family)
    loss, plain = gradients(model, needs)
    with first_position_only(model, INPUTS if cut else {}, needs), fused_layers(model):
        same, found = gradients(model, needs)
    assert same == pytest.approx(loss, rel=1e-12)
    assert [one.first_only for one in fused] == [False, cut]
    assert len(found) == len(plain)
    for ours, theirs in zip(found, plain, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("positions", [5, 16, 17, 32])
def test_an_attention_of_any_length_is_that_of_the_layer_as_it_is(positions: int) -> None:
    model = readable(max_position_embeddings=40).float()
    inputs = {"input_ids": torch.randint(5, tiny.VOCABULARY, (2, positions))}
    plain = forward(model, inputs)
    with fused_layers(model):
        assert torch.allclose(forward(model, inputs).logits, plain.logits, atol=1e-6)


@pytest.mark.parametrize("first_only", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_gradients_are_those_of_small_differences_with_dropout(
    masked: bool, first_only: bool
) -> None:
    torch.manual_seed(0)
    width, wide = 4, 6
    shapes = [(width, width)] * 3 + [(width,)] * 3
    shapes += [(width, width), (width,), (width,), (width,)]
    shapes += [(wide, width), (wide,), (width, wide), (width,), (width,), (width,)]
    states = torch.randn(2, 3, width, dtype=torch.float64, requires_grad=True)
    weights = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes]
    mask = torch.zeros(2, 1, 1, 3, dtype=torch.float64)
    mask[1, ..., 2:] = -1e9
    settings = Settings(Head(2, 0.7), (0.2, 0.3, 0.4), (1e-3, 1e-2), first_only)

    def layer(*inputs: Tensor) -> tuple[Tensor, Tensor]:
        torch.manual_seed(1)  # the same dropout each time
        found: tuple[Tensor, Tensor]
        found = FusedLayer.apply(inputs[0], mask if masked else None, settings, *inputs[1:])
        return found

    assert torch.autograd.gradcheck(layer, (states, *weights))


def test_a_layer_drops_what_dropout_says(fused: list[Settings]) -> None:
    model = readable(dropout=0.5)
    with fused_layers(model):
        first, second = (forward(model, INPUTS).logits for _ in range(2))
    assert fused[0].dropout == (0.5, 0.5, 0.5)
    assert not torch.allclose(first, second)


def evaluating(model: nn.Module) -> None:
    model.eval()


def listening(model: nn.Module) -> None:
    model.get_submodule("bert.encoder.layer.1.attention.self.query").register_forward_hook(
        lambda module, inputs, output: None
    )
    model.get_submodule("bert.encoder.layer.0.output").register_forward_pre_hook(
        lambda module, inputs: None
    )


def freezing(model: nn.Module) -> None:
    model.requires_grad_(False)


def another_attention(model: nn.Module) -> None:
    with_attentions(model, False)


@pytest.mark.parametrize("change", [evaluating, listening, freezing, another_attention])
def test_a_layer_that_does_not_train_as_a_whole_computes_as_it_does_outside(
    change: Callable[[nn.Module], None], fused: list[Settings]
) -> None:
    model = readable()
    change(model)
    with fused_layers(model):
        forward(model, INPUTS)
    assert fused == []


def test_layers_are_what_they_were_after_the_block(fused: list[Settings]) -> None:
    model = readable()
    with fused_layers(model):
        forward(model, INPUTS)
    assert len(fused) == 2
    forward(model, INPUTS)
    assert len(fused) == 2
    assert "forward" not in vars(model.get_submodule("bert.encoder.layer.0"))


def test_tensors_that_lie_end_to_end_are_joined_without_a_copy() -> None:
    vector = torch.arange(12.0)
    parts = [part.view(2, 2) for part in vector.split(4)]
    joined = end_to_end(*parts)
    assert joined.data_ptr() == vector.data_ptr()
    assert torch.equal(joined, torch.cat(parts))
    swapped = end_to_end(parts[1], parts[0], parts[2])
    assert torch.equal(swapped, torch.cat([parts[1], parts[0], parts[2]]))
