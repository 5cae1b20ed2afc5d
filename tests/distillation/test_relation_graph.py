import numpy as np
import pytest
import torch

from kdray.distillation.base import Shape
from kdray.distillation.relation_graph import RelationGraph, edge_loss, vertex_loss
from tests import tiny
from tests.distillation.lesson import batch, matched, terms
from tests.distillation.slope import check_gradient


def edges_by_numpy(student, teacher):
    """The matrices entry by entry."""
    graphs = []
    for x in (student, teacher):
        graph = np.array([[np.sum((a - b) ** 2) for b in x] for a in x])
        graphs.append(graph / graph.mean())
    return np.mean((graphs[0] - graphs[1]) ** 2)


def random_features(count=5, width=4, seed=0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def test_the_vertices_by_hand():
    student, teacher = (
        torch.tensor([[1.0, 2.0], [0.0, 0.0]]),
        torch.tensor([[1.0, 0.0], [3.0, 1.0]]),
    )
    assert vertex_loss(student, teacher).item() == pytest.approx((0 + 4 + 9 + 1) / 4)


def test_the_edges_by_hand():
    # Student at 0, 1 and 3: squared distances 1, 4, 9, twice each among 9 entries, mean 28/9.
    # Teacher, an equilateral triangle: 1, 1, 1, mean 6/9.
    student = torch.tensor([[0.0], [1.0], [3.0]])
    teacher = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 3**0.5 / 2]])
    expected = 2 / 9 * sum((d * 9 / 28 - 1.5) ** 2 for d in (1, 4, 9))
    assert edge_loss(student, teacher).item() == pytest.approx(expected)


def test_the_edges_agree_with_numpy_also_where_widths_differ():
    student, teacher = random_features(), random_features(width=7, seed=1)
    expected = edges_by_numpy(student.numpy(), teacher.numpy())
    assert edge_loss(student, teacher).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("count", [1, 2])
def test_one_example_has_no_edges_and_two_have_equal_ones(count):
    student = random_features(count).requires_grad_()
    found = edge_loss(student, random_features(count, seed=1))
    assert found.item() == pytest.approx(0)
    found.backward()
    assert student.grad.abs().max() < 1e-5


def test_gradients_are_finite_where_distances_are_0():
    student = random_features(1).repeat(4, 1).requires_grad_()
    found = edge_loss(student, random_features(4, seed=1))
    found.backward()
    assert torch.isfinite(found)
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize("loss", [vertex_loss, edge_loss])
def test_the_gradient_is_that_of_finite_differences_and_none_at_the_teacher(loss):
    student, teacher = random_features(), random_features(seed=1)
    check_gradient(lambda features: loss(features, teacher), student)
    student.requires_grad_()
    teacher.requires_grad_()
    loss(student, teacher).backward()
    assert teacher.grad is None


@pytest.mark.parametrize("width", [16, 24])
def test_the_terms_are_of_the_pooled_features_projected_where_widths_differ(width):
    student, teacher = tiny.model(), tiny.model(layers=4, width=width, seed=1)
    part = batch(tiny.MULTI).inputs
    with torch.no_grad():
        own, its = (model.bert(**part).pooler_output.numpy() for model in (student, teacher))
    method = RelationGraph(vertex_weight=3.0, edge_weight=0.5)
    match = matched(method, student, teacher)
    found = terms(method, tiny.MULTI, (student, teacher), match)
    assert set(found) == {"hard", "soft", "vertices", "edges"}
    weight = match.projections["features"].weight.detach().numpy().T if width == 24 else np.eye(16)
    assert found["vertices"].item() == pytest.approx(
        3 * np.mean((own @ weight - its) ** 2), rel=1e-3
    )
    assert found["edges"].item() == pytest.approx(0.5 * edges_by_numpy(own, its), rel=1e-3)


def test_the_projection_maps_the_students_width_to_the_teachers():
    match = RelationGraph().match(Shape(1, 8), Shape(4, 12))
    assert match.projections["features"].weight.shape == (12, 8)
