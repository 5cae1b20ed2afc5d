import pytest
import torch

from kdray.data.base import Labels
from kdray.models.building import freeze, thaw
from kdray.models.outputs import with_attentions
from kdray.pruning.heads import Heads, best_heads
from kdray.pruning.layers import Layers
from tests import tiny
from tests.pruning.cut import FAMILIES, assert_same_weights, in_heads, logits, model, sliced, weaken

KEPT = {"heads.0": in_heads([1]), "heads.1": in_heads([0, 2, 3])}


def prune(classifier, share=None, **options):
    return Heads(**options).prune(tiny.prunable(classifier), torch.Generator(), share).model


@pytest.mark.parametrize("family", FAMILIES)
def test_the_weakest_heads_of_all_layers_go(family):
    weak = weaken(model(family), KEPT, 0.01)
    expected = sliced(weak, KEPT)
    pruned = prune(weak, ratio=0.5)
    assert_same_weights(pruned, expected)
    assert pruned.config.heads_kept == [1, 3]


@pytest.mark.parametrize("attention", ["sdpa", "eager", "readable"])
@pytest.mark.parametrize("importance", ["magnitude", "gradient"])
@pytest.mark.parametrize("family", FAMILIES)
def test_heads_that_say_nothing_are_not_missed(family, importance, attention):
    dead = weaken(model(family), KEPT, 0.0)
    expected = logits(dead)
    pruned = prune(dead, ratio=0.5, importance=importance)
    assert pruned.config.heads_kept == [1, 3]
    if attention == "readable":
        with_attentions(pruned, True)
    else:
        pruned.set_attn_implementation(attention)
    assert torch.allclose(logits(pruned), expected, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_built_again_with_as_many_heads(family):
    pruned = prune(weaken(model(family), KEPT, 0.01), ratio=0.5)
    again = thaw(freeze(pruned))
    assert again.config.heads_kept == [1, 3]
    assert torch.equal(logits(again), logits(pruned))
    with_attentions(again, True)
    output = again(input_ids=torch.tensor([[2, 9, 3]]), output_attentions=True)
    assert [attention.shape[1] for attention in output.attentions] == [1, 3]


def test_heads_are_ranked_by_hand():
    scores = [torch.tensor([0.1, 0.2]), torch.tensor([5.0, 4.0]), torch.tensor([0.3, 3.0])]
    assert best_heads(scores, 3) == [[1], [0], [1]]
    assert best_heads(scores, 4) == [[1], [0, 1], [1]]
    assert best_heads(scores, 5) == [[1], [0, 1], [0, 1]]
    assert best_heads(scores, 6) == [[0, 1], [0, 1], [0, 1]]


def test_scores_of_minus_nothing_still_leave_each_layer_its_best():
    assert best_heads([torch.zeros(2), torch.ones(2)], 2) == [[0], [0]]


def test_a_later_stage_goes_on_to_the_share_of_the_original():
    student, method = tiny.prunable(model()), Heads(ratio=0.75)
    sizes = []
    for share in (0.0, 0.25, 0.25, None, 0.5):
        student = method.prune(student, torch.Generator(), share)
        sizes.append(sum(getattr(student.model.config, "heads_kept", [4, 4])))
    assert sizes == [8, 6, 6, 2, 2]


def test_layers_that_go_take_their_heads_along():
    student = tiny.prunable(weaken(model(layers=3), {"heads.1": in_heads([2])}, 0.01))
    student = Heads(ratio=0.25).prune(student, torch.Generator())
    assert student.model.config.heads_kept == [4, 1, 4]
    student = Layers(ratio=0.3, keep="last").prune(student, torch.Generator())
    assert student.model.config.heads_kept == [1, 4]
    student = Layers(ratio=0.6, keep="last").prune(student, torch.Generator())
    assert not hasattr(student.model.config, "heads_kept")


def test_a_head_that_is_important_enough_stays_whatever_the_ratio():
    weak = weaken(model(), KEPT, 0.01)
    assert prune(weak, ratio=0.75, importance_threshold=0.5).config.heads_kept == [1, 3]


def test_each_layer_keeps_a_head():
    strong = weaken(model(), {"heads.0": []}, 0.01)
    assert prune(strong, ratio=0.5).config.heads_kept != [0, 4]
    message = r"cannot cut 0\.9 of the heads, because each layer keeps one of its 4"
    with pytest.raises(ValueError, match=message):
        prune(model(), share=0.25, ratio=0.9)


def test_other_labels_train_as_well():
    labels = Labels(("good", "bad", "ugly"), "single_label")
    student = tiny.prunable(model(labels=labels), labels)
    pruned = Heads(ratio=0.5, importance="gradient").prune(student, torch.Generator())
    assert sum(pruned.model.config.heads_kept) == 4
