import numpy as np
import pytest
import torch

from kdray.config.sections import Architecture
from kdray.models.building import (
    borrow,
    config_of,
    freeze,
    keep_layers,
    new_classifier,
    spaced,
    thaw,
)
from tests import tiny
from tests.models.probe import logits


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_thawed_model_gives_the_logits_of_the_frozen_one(family):
    model = tiny.model(family=family)
    thawed = thaw(freeze(model))
    assert torch.equal(logits(thawed), logits(model))
    assert not thawed.training


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_thawed_model_has_the_buffers_of_the_frozen_one(family):
    model = tiny.model(family=family)
    found = dict(thaw(freeze(model)).named_buffers())
    assert found.keys() == dict(model.named_buffers()).keys()
    for name, buffer in model.named_buffers():
        assert torch.equal(found[name], buffer), name


def test_thawing_draws_nothing_at_random():
    state = freeze(tiny.model())
    torch.manual_seed(5)
    thaw(state)
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3))


def test_random_weights_still_are_random_after_thawing():
    thaw(freeze(tiny.model()))
    assert tiny.model(seed=1).classifier.weight.std() > 0.1


def test_a_thawed_model_can_be_trained_without_changing_the_state():
    state = freeze(tiny.model())
    before = {name: array.copy() for name, array in state.weights.items()}
    thawed = thaw(state)
    with torch.no_grad():
        for parameter in thawed.parameters():
            assert parameter.requires_grad
            parameter.add_(1.0)
    for name, array in before.items():
        assert np.array_equal(state.weights[name], array)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_borrowed_model_is_the_frozen_one_in_the_memory_of_its_state(family):
    model = tiny.model(family=family)
    state = freeze(model)
    borrowed = borrow(state)
    assert torch.equal(logits(borrowed), logits(model))
    assert not borrowed.training
    assert not any(parameter.requires_grad for parameter in borrowed.parameters())
    own = {name: tensor.data_ptr() for name, tensor in borrowed.state_dict().items()}
    assert own == {name: array.ctypes.data for name, array in state.weights.items()}


def test_a_frozen_state_cannot_be_written_to():
    state = freeze(tiny.model())
    with pytest.raises(ValueError, match="read-only"):
        next(iter(state.weights.values()))[...] = 0


def test_a_state_that_lacks_a_weight_is_refused():
    state = freeze(tiny.model())
    weights = {name: array for name, array in state.weights.items() if name != "classifier.bias"}
    with pytest.raises(RuntimeError, match=r"classifier\.bias"):
        thaw(type(state)(state.config, weights))


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_configuration_of_a_state_speaks_the_common_names(family):
    config = config_of(freeze(tiny.model(family=family, layers=3)))
    assert (config.num_hidden_layers, config.hidden_size) == (3, 16)


@pytest.mark.parametrize(
    ("count", "total", "expected"),
    [
        (6, 12, [2, 4, 6, 8, 10, 12]),
        (3, 12, [4, 8, 12]),
        (3, 4, [2, 3, 4]),
        (2, 3, [2, 3]),
        (1, 7, [7]),
        (4, 4, [1, 2, 3, 4]),
    ],
)
def test_layers_are_spaced_evenly_and_end_at_the_last(count, total, expected):
    assert spaced(count, total) == expected


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_keep_layers_copies_the_evenly_spaced_layers(family):
    model = tiny.model(family=family, layers=5)
    name = "transformer.layer" if family == "distilbert" else "encoder.layer"
    base = model.base_model
    layers = list(base.get_submodule(name))
    kept = keep_layers(model, 2)
    assert list(base.get_submodule(name)) == [layers[2], layers[4]]
    assert kept.config.num_hidden_layers == 2


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_model_with_fewer_layers_reloads_with_the_same_logits(family, tmp_path):
    from transformers import AutoModelForSequenceClassification

    model = keep_layers(tiny.model(family=family, layers=4), 2)
    model.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert again.config.num_hidden_layers == 2
    assert torch.equal(logits(again), logits(model))
    assert torch.equal(logits(thaw(freeze(model))), logits(model))


def test_a_family_that_shares_one_layer_cannot_be_cut():
    with pytest.raises(ValueError, match=r"Albert\w+ has no list of layers"):
        keep_layers(tiny.model(family="albert", layers=4), 2)


def test_a_family_that_shares_one_layer_can_be_kept_whole():
    model = tiny.model(family="albert", layers=4)
    assert keep_layers(model, 4) is model


@pytest.mark.parametrize("count", [0, 3])
def test_a_number_of_layers_that_is_not_there_is_refused(count):
    with pytest.raises(ValueError, match=f"layers must be 1 to 2, but got {count}"):
        keep_layers(tiny.model(), count)


@pytest.mark.parametrize("labels", tiny.KINDS.values(), ids=tiny.KINDS)
def test_a_new_classifier_has_the_shape_and_the_labels_asked_for(labels):
    shape = Architecture(layers=3, hidden_size=8, heads=2, intermediate_size=12)
    tokenizer = tiny.tokenizer()
    config = new_classifier(shape, tokenizer, labels, 20).config
    assert (config.num_hidden_layers, config.hidden_size, config.intermediate_size) == (3, 8, 12)
    assert (config.vocab_size, config.max_position_embeddings) == (len(tokenizer), 20)
    assert config.id2label == dict(enumerate(labels.names))
    assert config.problem_type == f"{labels.kind}_classification"
