import pytest
import torch
from torch import nn

from kdray.pruning.magnitude import Magnitude
from kdray.pruning.masking import lowest_removed
from kdray.pruning.none import NoPruning
from kdray.pruning.random import Random
from tests import tiny


def two_layers():
    """Weights [[1, -4], [-2, 3]] and [[10, -30], [20, 40]]."""
    model = nn.ModuleDict({"small": nn.Linear(2, 2), "large": nn.Linear(2, 2)})
    with torch.no_grad():
        model["small"].weight.copy_(torch.tensor([[1.0, -4.0], [-2.0, 3.0]]))
        model["large"].weight.copy_(torch.tensor([[10.0, -30.0], [20.0, 40.0]]))
    return model


def masks_of(method, seed=0):
    pruned = method.prune(tiny.prunable(two_layers()), torch.Generator().manual_seed(seed))
    return {name: mask.tolist() for name, mask in pruned.masks.items()}


def test_magnitude_removes_the_smallest_of_all_weights_by_hand():
    # |w| in order: 1, 2, 3, 4, 10, 20, 30, 40; a ratio of 5/8 removes up to 10.
    assert masks_of(Magnitude(ratio=5 / 8)) == {
        "small.weight": [[0, 0], [0, 0]],
        "large.weight": [[0, 1], [1, 1]],
    }


def test_magnitude_within_a_layer_removes_the_smallest_of_each_by_hand():
    assert masks_of(Magnitude(ratio=0.5, scope="layer")) == {
        "small.weight": [[0, 1], [0, 1]],
        "large.weight": [[0, 1], [0, 1]],
    }


@pytest.mark.parametrize(
    ("ratio", "kept"), [(0.0, "1111"), (0.25, "0111"), (0.5, "0101"), (0.75, "0100")]
)
def test_masks_of_four_weights_by_hand(ratio, kept):
    mask = lowest_removed({"w": torch.tensor([[1.0, 4.0], [2.0, 3.0]])}, ratio)["w"]
    assert mask.shape == (2, 2)
    assert "".join(str(int(value)) for value in mask.flatten()) == kept


def test_weights_of_equal_size_fall_in_order_so_that_the_ratio_is_exact():
    mask = lowest_removed({"a": torch.ones(2, 2), "b": torch.ones(1, 2)}, 0.5)
    assert mask["a"].tolist() == [[0, 0], [0, 1]]
    assert mask["b"].tolist() == [[1, 1]]


def test_no_scores_give_no_masks():
    assert lowest_removed({}, 0.5) == {}


def test_random_depends_on_its_seed_and_not_on_the_weights():
    method = Random(ratio=0.5)
    first = method.prune(tiny.prunable(tiny.model(seed=0)), torch.Generator().manual_seed(3)).masks
    other_weights = method.prune(
        tiny.prunable(tiny.model(seed=1)), torch.Generator().manual_seed(3)
    ).masks
    other_seed = method.prune(
        tiny.prunable(tiny.model(seed=0)), torch.Generator().manual_seed(4)
    ).masks
    assert all(torch.equal(mask, other_weights[name]) for name, mask in first.items())
    assert not all(torch.equal(mask, other_seed[name]) for name, mask in first.items())


def test_random_takes_about_the_same_share_of_every_layer():
    masks = (
        Random(ratio=0.5).prune(tiny.prunable(tiny.model()), torch.Generator().manual_seed(0)).masks
    )
    assert all(0.3 < mask.mean() < 0.7 for mask in masks.values())


def test_no_pruning_returns_the_model_as_it_is():
    model = two_layers()
    pruned = NoPruning().prune(tiny.prunable(model), torch.Generator())
    assert pruned.model is model
    assert not pruned.masks
