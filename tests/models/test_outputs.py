import gc
import weakref
from contextlib import nullcontext

import pytest
import torch
from transformers import GPT2Config, GPT2ForSequenceClassification

from kdray.data.base import Labels
from kdray.models.catching import projections
from kdray.models.classifier import classification_layer
from kdray.models.dropout import fast_dropout
from kdray.models.outputs import Needs, forward, release_memory, with_attentions
from kdray.models.readable import attend
from tests import tiny

INPUTS = {
    "input_ids": torch.tensor([[2, 9, 17, 3, 0], [2, 8, 3, 0, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 0, 0]]),
}
EVERYTHING = Needs(frozenset({0, 1, 2}), frozenset({1, 2}))
PROJECTED = Needs(queries_keys_values=frozenset({1, 2}))


@pytest.fixture(params=tiny.FAMILIES)
def model(request):
    return with_attentions(tiny.model(family=request.param), True)


@pytest.fixture(params=tiny.ALL_FAMILIES)
def any_model(request):
    return tiny.model(family=request.param)


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
    assert Needs(bank=3, features=True) | Needs(bank=7) == Needs(bank=7, features=True)


@pytest.mark.parametrize(
    "needs",
    [
        Needs(hidden=frozenset({0})),
        Needs(attentions=frozenset({1})),
        Needs(queries_keys_values=frozenset({1})),
    ],
)
def test_what_is_of_single_positions_is_known(needs):
    rows = Needs(first=frozenset({1}), features=True)
    assert (needs | rows).positions
    assert not rows.positions
    assert (needs | rows).features


def test_the_first_position_is_that_of_the_hidden_states(any_model):
    layers = frozenset({0, 1, 2})
    found = forward(any_model, INPUTS, Needs(first=layers))
    whole = forward(any_model, INPUTS, Needs(hidden=layers))
    assert not found.hidden
    for layer in layers:
        assert torch.equal(found.first[layer], whole.hidden[layer][:, 0])


def test_the_pooled_features_are_what_the_logits_are_made_of(any_model):
    found = forward(any_model, INPUTS, Needs(features=True))
    assert found.features.shape == (2, 16)
    last = classification_layer(any_model)
    assert torch.allclose(found.features @ last.weight.T + last.bias, found.logits, atol=1e-6)
    (gradient,) = torch.autograd.grad(found.logits.sum(), found.features)
    assert torch.allclose(gradient, last.weight.sum(0).expand(2, -1))


@pytest.mark.parametrize("fast", [False, True])
def test_the_pooled_features_are_those_before_the_classifiers_dropout(any_model, fast):
    layer, before = classification_layer(any_model.train()), []
    parent = next(module for module in any_model.modules() if layer in module.children())
    parent.dropout.p = 0.5
    with fast_dropout(any_model) if fast else nullcontext():
        parent.dropout.register_forward_pre_hook(lambda _, inputs: before.append(inputs[0]))
        found = forward(any_model, INPUTS, Needs(features=True))
    assert torch.equal(found.features, before[-1])
    assert not torch.allclose(layer(found.features), found.logits, atol=1e-3)


def test_a_feature_is_read_also_where_the_head_has_a_layer_as_wide_as_there_are_labels():
    labels = Labels(tuple("abcdefghijklmnop"), "multi_label")
    for family in ("bert", "roberta", "distilbert"):
        model = tiny.model(labels, family=family)
        found = forward(model, INPUTS, Needs(features=True))
        assert torch.equal(classification_layer(model)(found.features), found.logits)


def test_queries_keys_and_values_make_the_attention_of_their_layer(any_model):
    # The first layer's attention is recomputed from them, head by head, as the paper writes it.
    needs = PROJECTED | Needs(attentions=frozenset({1, 2}))
    found = forward(with_attentions(any_model, True), INPUTS, needs)
    for layer in (1, 2):
        parts = found.queries_keys_values[layer].detach()
        assert parts.shape[:3] == (2, 5, 3)
        size = parts.shape[-1] // 2
        query, key, _ = parts.reshape(2, 5, 3, 2, size).unbind(2)
        scores = torch.einsum("bihd,bjhd->bhij", query, key) / size**0.5
        scores = scores.masked_fill(INPUTS["attention_mask"][:, None, None, :] == 0, -torch.inf)
        mean = scores.softmax(-1).mean(1)
        assert torch.allclose(mean, found.attentions[layer], atol=1e-5)


def test_values_are_the_third(any_model):
    value = projections(any_model)[0][2]
    seen = []
    value.register_forward_hook(lambda _, __, output: seen.append(output))
    found = forward(any_model, INPUTS, PROJECTED)
    assert torch.equal(found.queries_keys_values[1][:, :, 2], seen[0])


def test_nothing_is_left_on_a_model_that_was_read(any_model):
    forward(any_model, INPUTS, PROJECTED | Needs(features=True))
    assert not any(
        module._forward_hooks or module._forward_pre_hooks
        for module in (classification_layer(any_model), *projections(any_model)[0])
    )


@pytest.mark.parametrize("layer", [0, 3])
def test_queries_of_a_layer_that_is_not_there_are_refused(any_model, layer):
    with pytest.raises(RuntimeError, match=f"layers \\[{layer}\\] were asked for"):
        forward(any_model, INPUTS, Needs(queries_keys_values=frozenset({layer})))


def test_a_model_without_separate_queries_is_refused():
    config = GPT2Config(vocab_size=64, n_embd=16, n_layer=1, n_head=2, pad_token_id=0)
    with pytest.raises(RuntimeError, match="has no queries, keys and values to read"):
        forward(GPT2ForSequenceClassification(config), INPUTS, PROJECTED)


def test_a_classifier_that_reads_every_position_has_no_pooled_features():
    config = GPT2Config(vocab_size=64, n_embd=16, n_layer=1, n_head=2, pad_token_id=0)
    with pytest.raises(RuntimeError, match=r"reads \[\(2, 5, 16\)\], not one row an example"):
        forward(GPT2ForSequenceClassification(config), INPUTS, Needs(features=True))


def test_gradients_reach_what_was_read_also_when_layers_are_computed_again():
    needs = PROJECTED | Needs(features=True, first=frozenset({1}))
    gradients = []
    for again in (False, True):
        model = tiny.model().train()
        if again:
            model.activation_checkpointing_enable()
        torch.manual_seed(0)
        found = forward(model, INPUTS, needs)
        parts = [found.features, found.first[1], found.queries_keys_values[2]]
        torch.stack([part.pow(2).sum() for part in parts]).sum().backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1])
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-4, rtol=1e-3)


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
