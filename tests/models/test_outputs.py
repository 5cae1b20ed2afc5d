import gc
import weakref

import pytest
import torch

from kdray.models.dropout import FastDropout
from kdray.models.outputs import Needs, fast_training, forward, release_memory, with_attentions
from kdray.models.readable import READABLE, attend
from tests import tiny

INPUTS = {
    "input_ids": torch.tensor([[2, 9, 17, 3, 0], [2, 8, 3, 0, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 0, 0]]),
}
EVERYTHING = Needs(frozenset({0, 1, 2}), frozenset({1, 2}))


@pytest.fixture(params=tiny.FAMILIES)
def model(request):
    return with_attentions(tiny.model(family=request.param), True)


def test_the_default_attention_cannot_be_read_and_says_so():
    with pytest.raises(RuntimeError, match="returned 0 attentions"):
        forward(tiny.model(), INPUTS, Needs(attentions=frozenset({1})))


def test_attention_can_be_read_when_asked_for():
    model = with_attentions(tiny.model(), True)
    assert set(forward(model, INPUTS, EVERYTHING).attentions) == {1, 2}


def test_the_choice_of_attention_changes_no_logit():
    model = tiny.model()
    fast = forward(model, INPUTS).logits
    readable = forward(with_attentions(model, True), INPUTS).logits
    again = forward(with_attentions(model, False), INPUTS).logits
    assert torch.allclose(fast, readable, atol=1e-5)
    assert torch.equal(fast, again)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_attention_is_read_before_dropout(family):
    name = "attention_dropout" if family == "distilbert" else "attention_probs_dropout_prob"
    model = with_attentions(tiny.model(family=family, layers=1, **{name: 0.5}), True)
    needs = Needs(attentions=frozenset({1}))
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout) and module.p < 0.5:
            module.p = 0.0  # that of the hidden states
    still = forward(model, INPUTS, needs)
    moved = forward(model.train(), INPUTS, needs)
    assert torch.equal(still.attentions[1], moved.attentions[1])
    assert not torch.allclose(still.logits, moved.logits)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_readable_model_without_attention_dropout_trains_as_the_eager_one(family):
    name = "attention_dropout" if family == "distilbert" else "attention_probs_dropout_prob"
    logits = []
    for choose in (
        lambda m: with_attentions(m, True),
        lambda m: m.set_attn_implementation("eager"),
    ):
        model = tiny.model(family=family, **{name: 0.0}).train()
        choose(model)
        torch.manual_seed(0)
        logits.append(model(**INPUTS).logits)
    assert torch.allclose(*logits, atol=1e-6)


def test_attention_dropout_keeps_the_output_right_on_average():
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, 2, 3, 4) for _ in range(3))
    module = torch.nn.Module()
    still = attend(module.eval(), query, key, value, None, dropout=0.5)[0]
    module.train()
    moved = [attend(module, query, key, value, None, dropout=0.5)[0] for _ in range(4000)]
    assert not torch.allclose(moved[0], still)
    assert torch.allclose(torch.stack(moved).mean(0), still, atol=0.05)


def test_training_on_a_cpu_uses_the_faster_attention_and_dropout_and_puts_its_own_back():
    model = tiny.model()
    with fast_training(model):
        assert model.config._attn_implementation == READABLE
        assert any(isinstance(module, FastDropout) for module in model.modules())
    assert model.config._attn_implementation == "sdpa"
    assert not any(isinstance(module, FastDropout) for module in model.modules())


@pytest.mark.parametrize("needs", [Needs(hidden=frozenset({3})), Needs(attentions=frozenset({3}))])
def test_a_layer_that_is_not_there_is_refused(needs):
    with pytest.raises(RuntimeError, match="returned"):
        forward(with_attentions(tiny.model(), True), INPUTS, needs)


def test_hidden_state_0_is_the_embedding_output(model):
    with torch.no_grad():
        raw = model.base_model(**INPUTS, output_hidden_states=True).hidden_states
        found = forward(model, INPUTS, EVERYTHING).hidden
    for layer in (0, 1, 2):
        assert torch.equal(found[layer], raw[layer])


def test_hidden_state_i_is_what_layer_i_returns(model):
    seen = {}
    layers = model.base_model.get_submodule(
        "encoder" if hasattr(model.base_model, "encoder") else "transformer"
    ).layer
    for number, layer in enumerate(layers, start=1):
        layer.register_forward_hook(
            lambda _, __, out, number=number: seen.update(
                {number: out[0] if isinstance(out, tuple) else out}
            )
        )
    with torch.no_grad():
        found = forward(model, INPUTS, EVERYTHING).hidden
    for number in (1, 2):
        assert torch.equal(found[number], seen[number])
    assert not torch.allclose(found[0], found[1])


def test_attention_i_is_the_head_mean_of_layer_i(model):
    with torch.no_grad():
        raw = model(**INPUTS, output_attentions=True).attentions
        found = forward(model, INPUTS, EVERYTHING).attentions
    for layer in (1, 2):
        heads = raw[layer - 1]
        assert torch.allclose(found[layer], (heads[:, 0] + heads[:, 1]) / 2)
    assert not torch.allclose(found[1], found[2])


def test_a_row_of_attention_is_a_distribution_over_real_positions(model):
    attention = forward(model, INPUTS, EVERYTHING).attentions[2].detach()
    assert torch.allclose(attention.sum(-1), torch.ones(2, 5), atol=1e-5)
    assert torch.all(attention[1, :, 3:] == 0)


def test_only_the_layers_asked_for_are_returned():
    output = forward(tiny.model(), INPUTS, Needs(hidden=frozenset({1})))
    assert set(output.hidden) == {1}
    assert not output.attentions
    assert torch.equal(output.mask, INPUTS["attention_mask"])


def test_needs_add_up():
    assert Needs(frozenset({1}), frozenset({2})) | Needs(frozenset({3})) == Needs(
        frozenset({1, 3}), frozenset({2})
    )


@pytest.mark.parametrize("gpu", [False, True])
def test_the_memory_of_a_gpu_is_given_back_with_what_only_knows_itself(gpu, monkeypatch):
    emptied, circle = [], torch.nn.Linear(1, 1)
    circle.itself = [circle]
    known = weakref.ref(circle)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(known() is None))
    gc.disable()
    try:
        del circle
        release_memory()
    finally:
        gc.enable()
    assert emptied == [True] * gpu
