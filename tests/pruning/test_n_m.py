import math
from dataclasses import replace

import pytest
import torch

from kdray.pruning.n_m import NM
from kdray.schema import checked_method
from tests import tiny
from tests.pruning.by_hand import mask_of, student


@pytest.mark.parametrize(
    ("n", "m", "kept"),
    [
        (2, 4, [[0, 1, 0, 1]]),
        (1, 4, [[0, 1, 0, 0]]),
        (3, 4, [[0, 1, 1, 1]]),
        (1, 2, [[0, 1, 0, 1]]),
        # Of the group of three, one goes, and of the last weight ⌈2/3⌉ stays.
        (2, 3, [[0, 1, 1, 1]]),
        # A row that is shorter than a group keeps ⌈4 · 3/8⌉.
        (3, 8, [[0, 1, 0, 1]]),
    ],
)
def test_masks_of_four_weights_by_hand(n, m, kept):
    assert mask_of(NM(n=n, m=m), student([[1.0, -4.0, -2.0, 3.0]])) == kept


def test_groups_do_not_reach_from_one_row_into_the_next():
    weights = [[1.0, 2.0, 3.0, 4.0, 6.0, 5.0], [8.0, 7.0, 6.0, 5.0, 4.0, 3.0]]
    kept = [[0, 0, 1, 1, 1, 0], [1, 1, 0, 0, 1, 0]]
    assert mask_of(NM(), student(weights)) == kept


@pytest.mark.parametrize(
    ("earlier", "kept"), [([1.0, 0, 1, 1], [0, 0, 1, 1]), ([1.0, 0, 0, 0], [1, 0, 0, 0])]
)
def test_what_is_pruned_already_counts_as_gone(earlier, kept):
    masks = {"layer.weight": torch.tensor([earlier])}
    pruned = replace(student([[1.0, -4.0, -2.0, 3.0]]), masks=masks)
    assert mask_of(NM(), pruned) == [kept]


@pytest.mark.parametrize("family", [*tiny.FAMILIES, "albert"])
@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (4, 8), (2, 5), (5, 40)])
def test_every_group_of_every_family_keeps_its_share(family, n, m):
    model = tiny.model(family=family)
    pruned = NM(n=n, m=m).prune(tiny.prunable(model), torch.Generator())
    assert pruned.masks
    for name, mask in pruned.masks.items():
        for group in torch.split(mask, m, dim=1):
            kept = math.ceil(group.shape[1] * n / m)
            assert (group.sum(1) == kept).all()
        assert torch.equal(model.get_parameter(name) != 0, mask == 1)


def test_modules_are_preserved_and_included_by_pattern():
    method = NM(
        preserve=["*layer.0*", "*pooler*"], include=["*word_embeddings", "*layer.0.output*"]
    )
    masks = method.prune(tiny.prunable(), torch.Generator()).masks
    zeroth = {"bert.encoder.layer.0.output.dense.weight"}
    assert {name for name in masks if "layer.0" in name} == zeroth
    word = masks["bert.embeddings.word_embeddings.weight"]
    assert (word.view(-1, 4).sum(1) == 2).all()
    assert "classifier.weight" in masks


def test_nothing_to_prune_is_an_error():
    with pytest.raises(ValueError, match=r"preserve \['\*'\] leaves nothing to prune"):
        NM(preserve=["*"]).prune(tiny.prunable(), torch.Generator())


@pytest.mark.parametrize(
    ("options", "where", "message"),
    [
        ({"n": 4, "m": 4}, "pruning", "n must be less than m, but got n=4, m=4"),
        ({"n": 5}, "pruning", "n must be less than m, but got n=5, m=4"),
        ({"n": 0}, "pruning.n", "1"),
        ({"m": 1}, "pruning.m", "2"),
        ({"ratio": 0.5}, "pruning.ratio", ""),
        ({"importance_threshold": 0.5}, "pruning.importance_threshold", ""),
    ],
)
def test_options_that_make_no_sense_are_refused(options, where, message):
    _, problems = checked_method("pruning", {"method": "n_m", **options}, "pruning")
    assert [problem.where for problem in problems] == [where]
    assert message in problems[0].message
