"""Layers computed again: seen by how often they are computed, and by what they return."""

import subprocess
import sys

import pytest
import torch

from kdray.models.building import layer_list
from kdray.models.fast_training import fast_training
from kdray.models.first_position import first_position_only
from kdray.models.recomputing import can_recompute, recomputing
from tests import tiny

IDS = torch.tensor([[2, 9, 17, 3], [2, 8, 3, 5]])
ABLE = [family for family in tiny.ALL_FAMILIES if family != "albert"]


def step(model, wanted):
    """Returns the gradients of a step with dropout, and how often a layer was computed."""
    calls = []
    within = next(m for m in layer_list(model)[1][0].modules() if isinstance(m, torch.nn.Linear))
    hook = within.register_forward_hook(lambda *_: calls.append(1))
    model.train().zero_grad()
    torch.manual_seed(0)
    first = first_position_only(model, {"input_ids": IDS})
    with recomputing(model, wanted), fast_training(model), first:
        calls.clear()
        model(input_ids=IDS).logits.pow(2).sum().backward()
    hook.remove()
    return [p.grad for p in model.parameters() if p.grad is not None], len(calls)


@pytest.mark.parametrize("family", ABLE)
def test_the_gradients_are_the_same_and_layers_are_computed_twice(family):
    model = tiny.model(family=family)
    kept, once = step(model, False)
    again, twice = step(model, True)
    assert (once, twice) == (1, 2)
    assert len(kept) == len(again)
    for one, other in zip(kept, again, strict=True):
        assert torch.equal(one, other)
    assert not model.is_activation_checkpointing


def test_a_model_can_be_asked_where_no_gradient_can_be_computed():
    model = tiny.model()
    model.get_input_embeddings().requires_grad_(False)
    with recomputing(model, True), torch.inference_mode():
        assert not model(input_ids=IDS).logits.requires_grad


def test_the_model_keeps_its_layers_again_after_an_error():
    model = tiny.model().train()
    with pytest.raises(IndexError), recomputing(model, True):
        model(input_ids=IDS + 1000)
    assert not model.is_activation_checkpointing


def test_nothing_is_said_of_a_cache_that_no_encoder_has():
    code = (
        "import torch\nfrom tests import tiny\n"
        "from kdray.models.recomputing import recomputing\nmodel = tiny.model().train()\n"
        "with recomputing(model, True):\n    model(input_ids=torch.tensor([[2, 9, 3]]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_a_family_that_cannot_says_so():
    model = tiny.model(family="albert")
    assert not can_recompute(model)
    assert all(can_recompute(tiny.model(family=family)) for family in ABLE)
    refused = pytest.raises(ValueError, match="AlbertForSequenceClassification does not support")
    with refused, recomputing(model, True):
        pass
    with recomputing(model, False):
        pass
