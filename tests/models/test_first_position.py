"""The last layer cut to the position that is read: the same logits, gradients and attentions."""

from typing import Any

import pytest
import torch
from torch import nn

from kdray.models.first_position import first_position_only
from kdray.models.outputs import Needs, forward, with_attentions
from tests import tiny

INPUTS = {
    "input_ids": torch.tensor([[2, 9, 17, 3, 0], [2, 8, 3, 0, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 0, 0]]),
}
PROBE = {name: tensor[:1] for name, tensor in INPUTS.items()}
CUT = ("bert", "roberta", "electra")


def gradients(model: Any) -> list[torch.Tensor]:
    model.zero_grad()
    torch.autograd.backward(forward(model, INPUTS).logits.pow(2).sum())
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("family", CUT)
def test_logits_and_gradients_are_those_of_the_whole_model(family: str) -> None:
    model = tiny.model(family=family)
    logits, whole = forward(model, INPUTS).logits, gradients(model)
    with first_position_only(model, PROBE) as cut:
        assert cut
        assert torch.allclose(forward(model, INPUTS).logits, logits, atol=1e-6)
        found = gradients(model)
    assert len(found) == len(whole)
    for ours, theirs in zip(found, whole, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("family", CUT)
def test_all_that_can_be_read_is_that_of_the_whole_model(family: str) -> None:
    model = with_attentions(tiny.model(family=family), True)
    both = frozenset({1, 2})
    needs = Needs(frozenset({0, 1}), both, both, both, features=True)
    whole = forward(model, INPUTS, needs)
    with first_position_only(model, PROBE):
        found = forward(model, INPUTS, needs)
    for layer in both:
        assert torch.allclose(found.attentions[layer], whole.attentions[layer])
        assert torch.equal(found.queries_keys_values[layer], whole.queries_keys_values[layer])
        assert torch.allclose(found.first[layer], whole.first[layer], atol=1e-6)
    assert torch.allclose(found.features, whole.features, atol=1e-6)
    assert torch.equal(found.hidden[1], whole.hidden[1])


def test_less_is_computed_inside_the_block_only() -> None:
    model = tiny.model()
    shapes: list[torch.Size] = []
    last = model.bert.encoder.layer[-1].output
    last.register_forward_hook(lambda module, inputs, output: shapes.append(output.shape))
    with first_position_only(model, PROBE):
        shapes.clear()
        forward(model, INPUTS)
    forward(model, INPUTS)
    assert [shape[1] for shape in shapes] == [1, 5]


@pytest.mark.parametrize("family", ["distilbert", "albert"])
def test_a_family_with_other_names_or_shared_layers_is_left_whole(family: str) -> None:
    model = tiny.model(family=family)
    with first_position_only(model, PROBE) as cut:
        assert not cut


def test_a_classifier_that_reads_every_position_is_left_whole() -> None:
    model = tiny.model()

    class Mean(nn.Module):
        def forward(self, states: torch.Tensor) -> torch.Tensor:
            return states.mean(1)

    model.bert.pooler = Mean()
    whole = forward(model, INPUTS).logits
    with first_position_only(model, PROBE) as cut:
        assert not cut
        assert torch.equal(forward(model, INPUTS).logits, whole)


def test_a_model_whose_last_hidden_states_are_matched_is_left_whole() -> None:
    model = tiny.model()
    with first_position_only(model, PROBE, Needs(hidden=frozenset({1, 2}))) as cut:
        assert not cut
    lower = Needs(frozenset({1}), first=frozenset({2}), queries_keys_values=frozenset({2}))
    with first_position_only(model, PROBE, lower) as cut:
        assert cut


def test_training_mode_is_as_before() -> None:
    model = tiny.model().train()
    with first_position_only(model, PROBE):
        assert model.training
