from dataclasses import replace

import numpy as np
import pytest
import torch

from kdray.models.building import layer_list
from kdray.models.inference import predict_logits
from kdray.pruning.layers import Layers, layer_scores
from tests import tiny
from tests.pruning.cut import FAMILIES, logits, model


def prune(student, share=None, **options):
    return Layers(**options).prune(student, torch.Generator(), share).model


def marked(family="bert", layers=6, **settings):
    """A model and the bias that each of its layers has for a name."""
    classifier = model(family, layers=layers, **settings)
    return classifier, [name_of(layer) for layer in layer_list(classifier)[1]]


def name_of(layer):
    return next(p for p in layer.parameters() if p.dim() == 2)[0, 0].item()


def silenced(classifier, layers):
    """Makes layers pass their input on: it is normed already, and all norms are plain."""
    for module in classifier.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.reset_parameters()
    for index in layers:
        for name, parameter in layer_list(classifier)[1][index].named_parameters():
            if "orm" not in name:
                parameter.data.zero_()
    return classifier


def right(student):
    """Lets the student be sure and right, so that its loss can only rise."""
    last = [m for m in student.model.modules() if isinstance(m, torch.nn.Linear)][-1]
    for parameter in last.parameters():
        parameter.data.mul_(100)
    train = student.splits["train"]
    targets = (predict_logits(student.model, train) > 0).astype(np.float32)
    return replace(student, splits={"train": replace(train, targets=targets)})


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("keep", "left"), [("even", [2, 4, 6]), ("first", [1, 2, 3]), ("last", [4, 5, 6])]
)
def test_the_right_layers_stay_in_their_order(family, keep, left):
    classifier, names = marked(family)
    pruned = prune(tiny.prunable(classifier), ratio=0.5, keep=keep)
    found = [name_of(layer) for layer in layer_list(pruned)[1]]
    assert found == [names[layer - 1] for layer in left]
    assert pruned.config.num_hidden_layers == 3
    assert logits(pruned).shape == (2, 3)


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_without_which_the_loss_is_the_same_go_first(family):
    classifier, names = marked(family, layers=4)
    # Before layer 0 of some families there is no norm.
    student = right(tiny.prunable(silenced(classifier, (1, 2))))
    expected = logits(classifier)
    pruned = prune(student, ratio=0.5, keep="importance")
    assert [name_of(layer) for layer in layer_list(pruned)[1]] == [names[0], names[3]]
    assert torch.allclose(logits(pruned), expected, rtol=1e-4, atol=1e-3)


def test_the_importance_of_a_layer_is_what_the_loss_rises_by():
    student = tiny.prunable(silenced(model(layers=3), [1]))
    scores = layer_scores(student, 16)
    assert scores[1] == pytest.approx(0, abs=1e-4)
    assert all(abs(score) > 1e-3 for score in (scores[0], scores[2]))
    assert len(layer_list(student.model)[1]) == 3


def test_a_layer_that_is_important_enough_stays_whatever_the_ratio():
    student = tiny.prunable(model(layers=4))
    scores = layer_scores(student, 128)
    limit = sorted(scores)[0]
    pruned = prune(student, ratio=0.75, keep="importance", importance_threshold=limit)
    assert pruned.config.num_hidden_layers == 3


def test_a_threshold_without_an_importance_is_refused():
    with pytest.raises(ValueError, match="importance_threshold is for keep: importance"):
        Layers(importance_threshold=0.1)


@pytest.mark.parametrize(("ratio", "left"), [(0, 4), (0.1, 4), (0.3, 3), (0.5, 2), (0.99, 1)])
def test_as_many_layers_are_left_as_are_told(ratio, left):
    assert Layers(ratio=ratio).layers_left(4) == left
    student = tiny.prunable(model(layers=4))
    assert prune(student, ratio=ratio).config.num_hidden_layers == left


def test_a_later_stage_goes_on_to_the_share_of_the_original():
    student, method = tiny.prunable(model(layers=4)), Layers(ratio=0.75)
    sizes = []
    for share in (0.0, 0.25, 0.25, None, 0.5):
        student = method.prune(student, torch.Generator(), share)
        sizes.append(student.model.config.num_hidden_layers)
    assert sizes == [4, 3, 3, 1, 1]
