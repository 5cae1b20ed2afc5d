import pytest
import torch

from kdray.models.building import ModelState, borrow, choose_layers, empty_model, freeze, layer_list
from kdray.models.heads import attention_of, note_heads, resize_heads
from tests import tiny


def resized(heads, **settings):
    classifier = tiny.model(heads=4, **settings)
    resize_heads(layer_list(classifier)[1], 16, heads)
    note_heads(classifier.config, heads)
    return classifier


def shapes(classifier):
    return {name: tensor.shape for name, tensor in classifier.state_dict().items()}


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_each_layer_is_left_its_first_heads(family):
    whole, classifier = tiny.model(family=family, heads=4), resized([3, 1], family=family)
    for layer, before, heads in zip(
        layer_list(classifier)[1], layer_list(whole)[1], [3, 1], strict=True
    ):
        attention, earlier = attention_of(layer, 16), attention_of(before, 16)
        assert (attention.heads, attention.head_size) == (heads, 4)
        for mine, its in zip(attention.projections, earlier.projections, strict=True):
            assert torch.equal(mine.weight, its.weight[: 4 * heads])
            assert torch.equal(mine.bias, its.bias[: 4 * heads])
        assert torch.equal(attention.output.weight, earlier.output.weight[:, : 4 * heads])
    output = classifier(torch.tensor([[2, 9, 3]]), output_attentions=True)
    assert output.logits.shape == (1, 3)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_an_empty_model_has_the_heads_that_its_configuration_says(family):
    classifier = resized([3, 1], family=family)
    again = empty_model(ModelState(classifier.config.to_dict(), {}))
    assert shapes(again) == shapes(classifier)
    with torch.device("meta"):
        assert shapes(empty_model(ModelState(classifier.config.to_dict(), {}))) == shapes(
            classifier
        )


def test_a_model_is_borrowed_with_its_heads():
    classifier = resized([3, 1])
    ids = torch.tensor([[2, 9, 3]])
    assert torch.equal(borrow(freeze(classifier))(ids).logits, classifier(ids).logits)


def test_equal_heads_are_not_noted_and_those_of_dropped_layers_are_forgotten():
    config = tiny.model(heads=4).config
    note_heads(config, [4, 4])
    assert not hasattr(config, "heads_kept")
    note_heads(config, [4, 2])
    assert config.heads_kept == [4, 2]
    note_heads(config, [4, 4])
    assert "heads_kept" not in config.to_dict()
    assert choose_layers(resized([3, 1, 4], layers=3), [1, 2]).config.heads_kept == [1, 4]
    assert not hasattr(choose_layers(resized([3, 1, 4], layers=3), [2]).config, "heads_kept")


def test_a_layer_of_another_build_is_refused():
    with pytest.raises(ValueError, match="Linear has no attention heads that kdray knows"):
        attention_of(torch.nn.Linear(2, 2), 2)
    with pytest.raises(ValueError, match="BertLayer has no attention heads that kdray knows"):
        attention_of(layer_list(tiny.model())[1][0], 32)


def test_a_number_of_layers_that_is_not_the_models_is_an_error():
    with pytest.raises(ValueError, match="zip"):
        resized([3, 1, 4])
