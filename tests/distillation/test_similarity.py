import numpy as np
import pytest
import torch

from kdray.distillation.similarity import Similarity, similarity_loss
from tests import tiny
from tests.distillation.lesson import batch, terms
from tests.distillation.slope import check_gradient


def by_numpy(student, teacher):
    """Equations 1 to 4 of the paper."""
    graphs = []
    for features in (student, teacher):
        graph = features @ features.T
        graphs.append(graph / np.linalg.norm(graph, axis=1, keepdims=True))
    return np.sum((graphs[0] - graphs[1]) ** 2) / len(student) ** 2


def random_features(count=5, width=4, seed=0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def test_the_loss_by_hand():
    # G_s = [[1, 0], [0, 4]], rows [1, 0] and [0, 1]. G_t = [[1, 1], [1, 1]], rows 1/√2. Each of the
    # rows differs by 1² · ((1 − 1/√2)² + ½) = 2 − √2; two rows over B² = 4.
    student, teacher = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0], [1.0]])
    assert similarity_loss(student, teacher).item() == pytest.approx(2 * (2 - 2**0.5) / 4)


def test_the_loss_agrees_with_numpy_also_where_widths_differ():
    student, teacher = random_features(), random_features(width=7, seed=1)
    expected = by_numpy(student.numpy(), teacher.numpy())
    assert similarity_loss(student, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_one_example_is_like_itself():
    student = random_features(1).requires_grad_()
    found = similarity_loss(student, random_features(1, seed=1))
    assert found.item() == pytest.approx(0)
    found.backward()
    assert torch.isfinite(student.grad).all()


def test_features_of_zeros_give_a_gradient_that_is_not_huge():
    # A pooler with a ReLU may give nothing but zeros.
    student = random_features()
    student[1] = 0
    student.requires_grad_()
    found = similarity_loss(student, random_features(seed=1))
    found.backward()
    assert torch.isfinite(found)
    assert student.grad.abs().max() < 10


def test_the_gradient_is_that_of_finite_differences_and_none_at_the_teacher():
    student, teacher = random_features(), random_features(seed=1)
    check_gradient(lambda features: similarity_loss(features, teacher), student)
    student.requires_grad_()
    teacher.requires_grad_()
    similarity_loss(student, teacher).backward()
    assert teacher.grad is None


def test_it_is_computed_in_float32_also_within_an_autocast():
    student, teacher = random_features(), random_features(seed=1)
    with torch.autocast("cpu", torch.bfloat16):
        inside = similarity_loss(student, teacher)
    assert inside == similarity_loss(student, teacher)


def test_the_term_is_of_the_pooled_features_and_weighted():
    student, teacher = tiny.model(), tiny.model(layers=4, width=24, seed=1)
    part = batch(tiny.MULTI).inputs
    with torch.no_grad():
        both = [model.bert(**part).pooler_output.numpy() for model in (student, teacher)]
    found = terms(Similarity(similarity_weight=7.0), tiny.MULTI, (student, teacher))
    assert set(found) == {"hard", "soft", "similarity"}
    assert found["similarity"].item() == pytest.approx(7 * by_numpy(*both), rel=1e-3)
