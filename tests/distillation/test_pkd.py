import numpy as np
import pytest
import torch

from kdray.distillation.pkd import PatientKnowledge, patience_loss
from kdray.models.outputs import Needs
from tests import tiny
from tests.distillation.lesson import batch, matched, terms
from tests.distillation.slope import check_gradient


def by_numpy(student, teacher):
    """Equation 7 of the paper for one layer: squared distances of directions, as a mean."""
    losses = [
        (a / np.linalg.norm(a) - b / np.linalg.norm(b)) ** 2
        for a, b in zip(student, teacher, strict=True)
    ]
    return np.mean(losses)


def random_states(seed=0, count=4, width=6):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def first_states(model):
    """[CLS] of every layer as transformers returns it, 0 the embedding output."""
    states = model(**batch(tiny.MULTI).inputs, output_hidden_states=True).hidden_states
    return [state[:, 0].detach().numpy() for state in states]


def test_the_loss_by_hand():
    # Directions (3/5, 4/5) and (1, 0): squares 4/25 and 16/25; the second pair points one way.
    student = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    teacher = torch.tensor([[7.0, 0.0], [0.0, 0.1]])
    assert patience_loss(student, teacher).item() == pytest.approx((4 / 25 + 16 / 25) / 4)


def test_the_loss_agrees_with_numpy():
    student, teacher = random_states(), random_states(1)
    expected = by_numpy(student.numpy(), teacher.numpy())
    assert patience_loss(student, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_opposite_directions_are_as_far_as_it_goes():
    states = random_states()
    assert patience_loss(states, -3 * states).item() == pytest.approx(4 / 6, rel=1e-5)


def test_lengths_do_not_count():
    student, teacher = random_states(), random_states(1)
    longer = patience_loss(5 * student, 0.1 * teacher).item()
    assert longer == pytest.approx(patience_loss(student, teacher).item(), rel=1e-5)


def test_the_gradient_is_that_of_finite_differences():
    check_gradient(lambda states: patience_loss(states, random_states(1)), random_states())


def test_a_state_of_zeros_has_a_finite_gradient():
    student = torch.zeros(2, 6, requires_grad=True)
    patience_loss(student, random_states(1, 2)).backward()
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize(
    ("mapping", "pairs"),
    [("uniform", [(1, 2), (2, 4)]), ("last", [(1, 3), (2, 4)]), ({3: 2}, [(2, 3)])],
    ids=str,
)
def test_the_first_positions_of_the_mapped_layers_are_compared(mapping, pairs):
    student, teacher = tiny.model(), tiny.model(layers=4, seed=1)
    found = terms(PatientKnowledge(layer_mapping=mapping), tiny.MULTI, (student, teacher))
    own, its = first_states(student), first_states(teacher)
    expected = 100 * np.mean([by_numpy(own[s], its[t]) for s, t in pairs])
    assert found["patience"].item() == pytest.approx(expected, rel=1e-4)
    off = 100 * np.mean([by_numpy(own[s - 1], its[t - 1]) for s, t in pairs])
    assert abs(off / expected - 1) > 0.01


def test_where_widths_differ_each_layer_is_projected_by_its_own_map():
    student, teacher = tiny.model(), tiny.model(layers=4, width=24, seed=1)
    match = matched(PatientKnowledge(), student, teacher)
    found = terms(PatientKnowledge(), tiny.MULTI, (student, teacher), match)
    own, its = first_states(student), first_states(teacher)
    maps = {t: match.projections[str(t)].weight.detach().numpy() for t in (2, 4)}
    losses = [by_numpy(own[s] @ maps[t].T, its[t]) for s, t in ((1, 2), (2, 4))]
    assert found["patience"].item() == pytest.approx(100 * np.mean(losses), rel=1e-4)


def test_nothing_but_the_first_position_is_read():
    needs = PatientKnowledge().needs(frozenset({2, 4}))
    assert needs == Needs(first=frozenset({2, 4}))
    assert not PatientKnowledge().reads_positions


@pytest.mark.parametrize("family", tiny.ALL_FAMILIES)
def test_every_family_has_a_first_position(family):
    models = tiny.model(family=family), tiny.model(family=family, layers=4, seed=1)
    found = terms(PatientKnowledge(), tiny.MULTI, models)["patience"]
    own, its = (first_states(model) for model in models)
    expected = 100 * np.mean([by_numpy(own[s], its[t]) for s, t in ((1, 2), (2, 4))])
    assert found.item() == pytest.approx(expected, rel=1e-4)
