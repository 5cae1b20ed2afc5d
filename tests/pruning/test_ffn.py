import pytest
import torch

from kdray.pruning.ffn import FeedForward
from tests import tiny
from tests.pruning.cut import FAMILIES, assert_same_weights, logits, model, sliced, weaken

KEPT = {
    "ffn.0": list(range(0, 32, 2)),
    "ffn.1": [3, 5, 6, 9, 10, 11, 14, 17, 18, 20, 23, 25, 26, 29, 30, 31],
}


def prune(classifier, share=None, **options):
    return FeedForward(**options).prune(tiny.prunable(classifier), torch.Generator(), share).model


def units(config):
    return getattr(config, "intermediate_size", None) or config.hidden_dim


@pytest.mark.parametrize("family", FAMILIES)
def test_the_weakest_units_of_each_layer_go(family):
    weak = weaken(model(family), KEPT, 0.01)
    expected = sliced(weak, KEPT)
    pruned = prune(weak, ratio=0.5)
    assert_same_weights(pruned, expected)
    assert units(pruned.config) == 16
    assert pruned.config.hidden_size == 16


@pytest.mark.parametrize("importance", ["magnitude", "gradient"])
@pytest.mark.parametrize("family", FAMILIES)
def test_units_that_say_nothing_are_not_missed(family, importance):
    dead = weaken(model(family), KEPT, 0.0)
    expected = logits(dead)
    pruned = prune(dead, ratio=0.5, importance=importance)
    assert torch.allclose(logits(pruned), expected, atol=1e-5)
    assert {p.shape[0] for n, p in pruned.named_parameters() if "intermediate" in n} <= {16}


def test_a_later_stage_goes_on_to_the_share_of_the_original():
    student, method = tiny.prunable(model()), FeedForward(ratio=0.9)
    sizes = []
    for share in (0.0, 0.1, 0.1, 0.5, None, 0.5):
        student = method.prune(student, torch.Generator(), share)
        sizes.append(units(student.model.config))
    assert sizes == [32, 29, 29, 16, 3, 3]


def test_the_layer_with_most_important_units_decides_how_many_stay():
    strong = {"ffn.0": list(range(5)), "ffn.1": list(range(20))}
    weak = weaken(model(), strong, 0.01)
    assert units(prune(weak, ratio=0.9, importance_threshold=0.5).config) == 20


def test_a_ratio_that_leaves_no_unit_is_an_error_from_the_first_stage_on():
    with pytest.raises(ValueError, match=r"ffn leaves none of 32 units at ratio 0\.99"):
        prune(model(), share=0.25, ratio=0.99)
