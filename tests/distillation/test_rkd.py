from itertools import combinations, permutations

import numpy as np
import pytest
import torch

from kdray.distillation.rkd import RelationalKnowledge, angle_loss, distance_loss
from tests import tiny
from tests.distillation.lesson import batch, terms
from tests.distillation.slope import check_gradient

LOSSES = pytest.mark.parametrize("loss", [distance_loss, angle_loss])


def huber(x):
    return x**2 / 2 if abs(x) <= 1 else abs(x) - 0.5


def distances_by_numpy(student, teacher):
    """Equations 2 to 4 of the paper, pair by pair, as a mean."""
    pairs = list(combinations(range(len(student)), 2))
    own, its = (
        np.array([np.linalg.norm(x[i] - x[j]) for i, j in pairs]) for x in (student, teacher)
    )
    losses = [huber(a - b) for a, b in zip(own / own.mean(), its / its.mean(), strict=True)]
    return np.mean(losses)


def angles_by_numpy(student, teacher):
    """Equations 5 and 6 of the paper, triplet by triplet, as a mean."""

    def cosine(x, i, j, k):
        a, b = x[i] - x[j], x[k] - x[j]
        return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))

    triplets = permutations(range(len(student)), 3)
    return np.mean([huber(cosine(student, *t) - cosine(teacher, *t)) for t in triplets])


def random_features(count=5, width=4, seed=0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def test_the_distances_by_hand():
    # Student at 0, 1 and 3: distances 1, 2, 3, divided by their mean 2. Teacher at the corners of
    # an equilateral triangle: 1, 1, 1. Differences ½, 0, ½: the mean of 1/8, 0, 1/8.
    student = torch.tensor([[0.0], [1.0], [3.0]])
    teacher = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 3**0.5 / 2]])
    assert distance_loss(student, teacher).item() == pytest.approx(1 / 12)


def test_the_angles_by_hand():
    # Student on a line: cosines −1 at the one in the middle, 1 at the ends. Teacher, an equilateral
    # triangle: ½ at each corner. Huber(1.5) = 1, Huber(½) = 1/8: the mean of 1, 1/8, 1/8.
    student = torch.tensor([[0.0], [1.0], [3.0]])
    teacher = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 3**0.5 / 2]])
    assert angle_loss(student, teacher).item() == pytest.approx((1 + 1 / 8 + 1 / 8) / 3)


@pytest.mark.parametrize("count", [3, 5])
def test_both_agree_with_numpy_also_where_widths_differ(count):
    student, teacher = random_features(count), random_features(count, 7, seed=1)
    both = student.numpy(), teacher.numpy()
    found = distance_loss(student, teacher).item()
    assert found == pytest.approx(distances_by_numpy(*both), rel=1e-5)
    assert angle_loss(student, teacher).item() == pytest.approx(angles_by_numpy(*both), rel=1e-5)


@LOSSES
def test_moving_turning_and_stretching_the_teacher_changes_nothing(loss):
    student, teacher = random_features(), random_features(width=3, seed=1)
    turn = torch.linalg.qr(random_features(3, 3, seed=2)).Q
    moved = 2.5 * teacher @ turn + 1.0
    assert loss(student, moved).item() == pytest.approx(loss(student, teacher).item(), rel=1e-4)


@pytest.mark.parametrize(("loss", "count"), [(distance_loss, 1), (angle_loss, 1), (angle_loss, 2)])
def test_without_a_pair_or_triplet_the_loss_is_0_and_so_is_the_gradient(loss, count):
    student = random_features(count).requires_grad_()
    found = loss(student, random_features(count, seed=1))
    assert found == 0
    found.backward()
    assert student.grad.abs().max() == 0


def test_one_pair_is_as_long_as_its_mean():
    assert distance_loss(random_features(2), random_features(2, seed=1)) == 0


@LOSSES
@pytest.mark.parametrize("count", [2, 3, 5])
def test_gradients_are_finite_where_distances_are_0(loss, count):
    for same in (slice(0, 2), slice(None)):
        student, teacher = random_features(count), random_features(count, seed=1)
        student[same] = student[0].clone()
        student.requires_grad_()
        found = loss(student, teacher)
        found.backward()
        assert torch.isfinite(found)
        assert torch.isfinite(student.grad).all()
        teacher[same] = teacher[0].clone()
        assert torch.isfinite(loss(student, teacher))


@LOSSES
def test_the_gradient_is_that_of_finite_differences_and_none_at_the_teacher(loss):
    student, teacher = random_features(), random_features(seed=1)
    check_gradient(lambda features: loss(features, teacher), student)
    student.requires_grad_()
    teacher.requires_grad_()
    loss(student, teacher).backward()
    assert teacher.grad is None


@LOSSES
def test_they_are_computed_in_float32_also_within_an_autocast(loss):
    student, teacher = random_features(), random_features(seed=1)
    with torch.autocast("cpu", torch.bfloat16):
        assert loss(student, teacher) == loss(student, teacher).float()
        inside = loss(student, teacher)
    assert inside == loss(student, teacher)
    rough = loss(student.bfloat16(), teacher.bfloat16())
    assert rough == loss(student.bfloat16().float(), teacher.bfloat16().float())


def test_the_terms_are_of_the_pooled_features_and_weighted():
    student, teacher = tiny.model(), tiny.model(layers=4, width=24, seed=1)
    part = batch(tiny.MULTI).inputs
    with torch.no_grad():
        both = [model.bert(**part).pooler_output.numpy() for model in (student, teacher)]
    method = RelationalKnowledge(distance_weight=3.0, angle_weight=0.5)
    found = terms(method, tiny.MULTI, (student, teacher))
    assert set(found) == {"hard", "soft", "distance", "angle"}
    assert found["distance"].item() == pytest.approx(3 * distances_by_numpy(*both), rel=1e-3)
    assert found["angle"].item() == pytest.approx(0.5 * angles_by_numpy(*both), rel=1e-3)
