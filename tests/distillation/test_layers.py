"""The terms of `hidden` and `attention` against the raw outputs of transformers, so that a mapping
that is off by one layer cannot pass."""

import pytest
import torch

from kdray.distillation.attention import Attention
from kdray.distillation.base import Shape
from kdray.distillation.hidden import Hidden
from kdray.distillation.loss import attention_kl, attention_mse, hidden_loss
from kdray.distillation.multi_level import MultiLevel
from tests import tiny
from tests.distillation.lesson import batch, matched, terms

COMPARE = {"mse": attention_mse, "kl": attention_kl}


def raw(model):
    model.set_attn_implementation("eager")
    inputs = batch(tiny.MULTI).inputs
    return model(**inputs, output_hidden_states=True, output_attentions=True)


@pytest.fixture
def models():
    return tiny.model(layers=2), tiny.model(layers=4, seed=1)


def hidden_by_hand(student, teacher, pairs):
    mask = batch(tiny.MULTI).inputs["attention_mask"]
    own, its = raw(student).hidden_states, raw(teacher).hidden_states
    return sum(hidden_loss(own[s], its[t], mask) for s, t in pairs) / len(pairs)


def attention_by_hand(student, teacher, pairs, loss):
    # Attention has no layer 0: that of layer i is entry i − 1.
    mask = batch(tiny.MULTI).inputs["attention_mask"]
    own, its = raw(student).attentions, raw(teacher).attentions
    losses = [COMPARE[loss](own[s - 1].mean(1), its[t - 1].mean(1), mask) for s, t in pairs]
    return sum(losses) / len(losses)


@pytest.mark.parametrize(
    ("mapping", "pairs"),
    [
        ("uniform", [(1, 2), (2, 4)]),
        ("last", [(1, 3), (2, 4)]),
        ({1: 1, 4: 2}, [(1, 1), (2, 4)]),
        ({3: 2}, [(2, 3)]),
    ],
    ids=str,
)
@pytest.mark.parametrize("loss", ["mse", "kl"])
def test_the_mapped_layers_are_compared(mapping, pairs, loss, models):
    method = MultiLevel(layer_mapping=mapping, attention_loss=loss)
    found = terms(method, tiny.MULTI, models)
    assert found["hidden"].item() == pytest.approx(
        0.3 * hidden_by_hand(*models, pairs).item(), rel=1e-4
    )
    assert found["attention"].item() == pytest.approx(
        0.2 * attention_by_hand(*models, pairs, loss).item(), rel=1e-4
    )


@pytest.mark.parametrize(
    "wrong", [[(0, 1), (1, 3)], [(1, 1), (2, 3)], [(0, 2), (1, 4)], [(1, 2)], [(2, 4)]], ids=str
)
def test_a_mapping_that_is_off_by_one_would_be_seen(wrong, models):
    found = terms(Hidden(), tiny.MULTI, models)["hidden"].item()
    assert abs(0.3 * hidden_by_hand(*models, wrong).item() / found - 1) > 0.01


@pytest.mark.parametrize("wrong", [[(1, 1), (2, 3)], [(1, 3), (2, 4)], [(2, 2), (1, 4)]], ids=str)
def test_an_attention_that_is_off_by_one_would_be_seen(wrong, models):
    found = terms(Attention(), tiny.MULTI, models)["attention"].item()
    assert abs(0.2 * attention_by_hand(*models, wrong, "mse").item() / found - 1) > 0.01


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_student_of_half_the_layers_compares_them_in_every_family(family):
    models = tiny.model(family=family), tiny.model(family=family, layers=4, seed=1)
    found = terms(MultiLevel(), tiny.MULTI, models)
    pairs = [(1, 2), (2, 4)]
    assert found["hidden"].item() == pytest.approx(
        0.3 * hidden_by_hand(*models, pairs).item(), rel=1e-4
    )
    assert found["attention"].item() == pytest.approx(
        0.2 * attention_by_hand(*models, pairs, "mse").item(), rel=1e-4
    )


def test_what_is_read_of_student_and_teacher():
    match = matched(MultiLevel(), tiny.model(), tiny.model(layers=4))
    needs = MultiLevel().needs(frozenset(match.pairs.values()))
    assert needs.hidden == needs.attentions == {2, 4}
    assert not Hidden().needs(frozenset({1})).attentions
    assert not Attention().needs(frozenset({1})).hidden


def test_heads_may_differ_in_number_and_widths_too():
    student, teacher = tiny.model(heads=2), tiny.model(layers=4, width=24, heads=3, seed=1)
    found = terms(MultiLevel(), tiny.MULTI, (student, teacher))
    assert torch.isfinite(torch.stack(list(found.values()))).all()
    expected = 0.2 * attention_by_hand(student, teacher, [(1, 2), (2, 4)], "mse").item()
    assert found["attention"].item() == pytest.approx(expected, rel=1e-4)


def test_each_pair_has_a_projection_of_its_own():
    student, teacher = tiny.model(), tiny.model(layers=4, width=24, seed=1)
    match = matched(Hidden(), student, teacher)
    assert set(match.projections) == {"2", "4"}
    found = terms(Hidden(), tiny.MULTI, (student, teacher), match)["hidden"]
    mask = batch(tiny.MULTI).inputs["attention_mask"]
    own, its = raw(student).hidden_states, raw(teacher).hidden_states
    losses = [
        hidden_loss(own[s] @ match.projections[str(t)].weight.T, its[t], mask)
        for s, t in ((1, 2), (2, 4))
    ]
    assert found.item() == pytest.approx(0.3 * (sum(losses) / 2).item(), rel=1e-4)


def test_what_is_learnt_of_a_teacher_layer_is_taken_over_where_it_fits():
    first, fewer, narrower = (
        Hidden().match(Shape(layers, width), Shape(4, 24))
        for layers, width in ((4, 16), (2, 16), (4, 8))
    )
    fewer.take_over(first)
    # Of 2 layers the teacher's are 2 and 4, whichever student layers learn from them.
    assert fewer.pairs == {1: 2, 2: 4}
    for layer in ("2", "4"):
        assert torch.equal(fewer.projections[layer].weight, first.projections[layer].weight)
        assert fewer.projections[layer].weight is not first.projections[layer].weight
    before = narrower.projections["4"].weight.clone()
    narrower.take_over(first)
    assert torch.equal(narrower.projections["4"].weight, before)


def test_the_weights_scale_their_terms(models):
    plain = terms(MultiLevel(), tiny.MULTI, models)
    changed = terms(MultiLevel(hidden_weight=0.6, attention_weight=0.0), tiny.MULTI, models)
    assert changed["hidden"].item() == pytest.approx(2 * plain["hidden"].item())
    assert changed["attention"] == 0
    assert changed["soft"] == plain["soft"]
