import pytest
import torch

from kdray.models.building import freeze, thaw
from kdray.models.classifier import change_classifier, reads_mean
from kdray.models.readable import READABLE, register
from kdray.pruning.heads import Heads
from kdray.pruning.width import Width, nearest_heads, reachable_heads
from tests import tiny
from tests.pruning.cut import FAMILIES, assert_same_weights, in_heads, logits, model, sliced, weaken

ROLES = ("hidden_size", "num_attention_heads")
HIDDEN = [1, 2, 4, 7, 9, 10, 13, 15]
KEPT = {
    "hidden": HIDDEN,
    "heads.0": in_heads([1, 3]),
    "heads.1": in_heads([0, 3]),
    "ffn.0": list(range(0, 32, 2)),
    "ffn.1": [3, 5, 6, 9, 10, 11, 14, 17, 18, 20, 23, 25, 26, 29, 30, 31],
    "behind": [0, 3, 5, 6, 8, 11, 12, 14],
}
# So few of so many that Python's set of them is in another order.
FEW = {
    "hidden": [1, 8, 10, 13],
    "heads.0": in_heads([2]),
    "heads.1": in_heads([1]),
    "ffn.0": [0, 3, 8, 9, 17, 24, 25, 31],
    "ffn.1": [1, 2, 5, 12, 16, 20, 27, 28],
    "behind": [2, 3, 9, 12],
}


def prune(classifier, share=None, **options):
    return Width(**options).prune(tiny.prunable(classifier), torch.Generator(), share).model


@pytest.mark.parametrize(("ratio", "units"), [(0.5, KEPT), (0.75, FEW)])
@pytest.mark.parametrize("family", FAMILIES)
def test_all_that_belongs_to_the_weakest_units_goes_and_the_rest_stays_in_its_order(
    family, ratio, units
):
    kept = units | ({"projected": []} if family == "electra" else {})
    weak = weaken(model(family), kept, 0.01)
    expected = sliced(weak, kept)
    assert_same_weights(prune(weak, ratio=ratio), expected)


@pytest.mark.parametrize(("pooling", "hidden"), [("mean", None), ("cls", 6), ("mean", 6)])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_classifier_of_kdrays_own_is_cut_with_what_it_reads(family, pooling, hidden):
    kept = KEPT | ({"projected": []} if family == "electra" else {})
    classifier = model(family)
    change_classifier(classifier, pooling, hidden)
    weak = weaken(classifier, kept, 0.01)
    expected = sliced(weak, kept)
    pruned = prune(weak, ratio=0.5)
    assert_same_weights(pruned, expected)
    again = thaw(freeze(pruned))
    assert torch.equal(logits(again), logits(pruned))
    assert reads_mean(again.config) == (pooling == "mean")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_configuration_says_the_new_shape(family):
    config = prune(model(family), ratio=0.25).config
    assert [getattr(config, role) for role in ROLES] == ([12, 3] if family != "electra" else [8, 2])
    feed_forward = getattr(config, "hidden_dim" if family == "distilbert" else "intermediate_size")
    assert feed_forward == 2 * config.hidden_size
    assert not hasattr(config, "heads_kept")


@pytest.mark.parametrize("attention", ["sdpa", "eager", READABLE])
@pytest.mark.parametrize("family", FAMILIES)
def test_it_runs_on_every_attention_and_learns(family, attention):
    register()
    classifier = model(family)
    classifier.set_attn_implementation("sdpa")
    pruned = prune(classifier, ratio=0.5)
    assert pruned.config._attn_implementation == "sdpa"
    expected = logits(pruned)
    pruned.set_attn_implementation(attention)
    assert torch.allclose(logits(pruned), expected, atol=1e-5)
    ids = torch.tensor([[2, 9, 3]])
    pruned.train()(input_ids=ids).logits.sum().backward()
    trained = dict(pruned.named_parameters())
    assert all(p.grad is not None for name, p in trained.items())


def test_gradient_importance_leaves_no_gradient_and_no_mode_behind():
    classifier = model().train()
    classifier.bert.embeddings.eval()
    classifier.get_input_embeddings().requires_grad_(False)
    pruned = prune(classifier, ratio=0.5, importance="gradient")
    assert all(p.grad is None for p in pruned.parameters())
    assert pruned.training
    assert not pruned.bert.embeddings.training
    frozen = [name for name, p in pruned.named_parameters() if not p.requires_grad]
    assert frozen == ["bert.embeddings.word_embeddings.weight"]
    assert all(p.is_contiguous() and isinstance(p, torch.nn.Parameter) for p in pruned.parameters())


def test_gradient_and_magnitude_are_not_the_same():
    first = prune(model(), ratio=0.5)
    second = prune(model(), ratio=0.5, importance="gradient")
    assert not torch.equal(
        first.get_input_embeddings().weight, second.get_input_embeddings().weight
    )


def test_a_later_stage_goes_on_to_the_share_of_the_original():
    student, method = tiny.prunable(model()), Width(ratio=0.75)
    sizes = []
    for share in (0.0, 0.25, 0.25, 0.5, None, 0.3):
        student = method.prune(student, torch.Generator(), share)
        sizes.append((student.model.config.hidden_size, student.model.config.intermediate_size))
    assert sizes == [(16, 32), (12, 24), (12, 24), (8, 16), (4, 8), (4, 8)]


def test_what_is_important_enough_stays_whatever_the_ratio():
    ten = {**KEPT, "hidden": sorted([*HIDDEN, 0, 3])}
    pruned = prune(weaken(model(), ten, 0.01), ratio=0.75, importance_threshold=0.5)
    # Ten hidden units need three heads of four; each layer has two that are as important.
    assert pruned.config.hidden_size == 12
    assert pruned.config.intermediate_size == 24
    assert prune(model(), ratio=0.75, importance_threshold=0.0).config.hidden_size == 16


def test_heads_that_are_gone_already_are_not_missed():
    student = tiny.prunable(model(layers=3))
    weaken(student.model, {"heads.0": in_heads([2])}, 0.01)
    student = Heads(ratio=0.25).prune(student, torch.Generator())
    assert student.model.config.heads_kept == [1, 4, 4]
    student = Width(ratio=0.5).prune(student, torch.Generator())
    assert student.model.config.heads_kept == [1, 2, 2]
    assert student.model.config.hidden_size == 8
    assert logits(student.model).shape == (2, 3)
    student = Width(ratio=0.75).prune(student, torch.Generator())
    assert not hasattr(student.model.config, "heads_kept")


@pytest.mark.parametrize(
    ("ratio", "heads"), [(0, 4), (0.1, 4), (0.13, 3), (0.3, 3), (0.375, 3), (0.6, 2), (0.875, 1)]
)
def test_the_ratio_is_rounded_to_whole_heads(ratio, heads):
    assert nearest_heads(model().config, ratio) == heads


def test_a_ratio_that_leaves_no_head_is_an_error_from_the_first_stage_on():
    with pytest.raises(ValueError, match=r"ratio 0\.9: the hidden size can be 16, 12, 8, 4$"):
        prune(model(), share=0.25, ratio=0.9)


def test_a_projected_model_is_never_as_wide_as_its_embeddings():
    config = model("electra").config
    assert reachable_heads(config) == [4, 2, 1]
    assert [nearest_heads(config, ratio) for ratio in (0.1, 0.25, 0.5)] == [4, 2, 2]
    narrow = tiny.model(family="electra").config
    with pytest.raises(ValueError, match=r"the hidden size can be 16$"):
        nearest_heads(narrow, 0.5)


def test_the_sizes_that_can_be_reached_are_told():
    assert Width.reachable(model().config) == (
        "hidden size 16 can be cut to 12 (ratio 0.25), 8 (ratio 0.5), 4 (ratio 0.75)"
    )
    assert Width.reachable(tiny.model(heads=1).config) == (
        "hidden size 16 can be cut to nothing smaller"
    )
