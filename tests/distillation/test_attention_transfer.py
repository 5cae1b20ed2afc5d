import numpy as np
import pytest
import torch

from kdray.distillation.attention_transfer import AttentionTransfer, transfer_loss
from tests import tiny
from tests.distillation.lesson import batch, terms
from tests.distillation.slope import check_gradient

MASK = torch.tensor([[1, 1, 0], [1, 1, 1]])


def by_numpy(student, teacher, mask, p):
    """Equation 2 of the paper with the squared norm, text by text."""
    losses = []
    for f_s, f_t, real in zip(student, teacher, mask, strict=True):
        q_s, q_t = ((np.abs(f[real > 0]) ** p).sum(-1) for f in (f_s, f_t))
        losses.append(np.sum((q_s / np.sqrt(q_s @ q_s) - q_t / np.sqrt(q_t @ q_t)) ** 2))
    return np.mean(losses)


def random_states(width=4, seed=0):
    return torch.randn(2, 3, width, generator=torch.Generator().manual_seed(seed))


def test_the_loss_by_hand():
    # Q_s = [9, 16 · 0], [1, 0]; Q_t = [9, 12], which is [0.6, 0.8] of length 1: 0.16 + 0.64 = 0.8.
    student = torch.tensor([[[3.0], [0.0]]])
    teacher = torch.tensor([[[3.0, 0.0], [2.0, 8**0.5]]])
    assert transfer_loss(student, teacher, None).item() == pytest.approx(0.8)


@pytest.mark.parametrize("power", [1.0, 2.0, 4.0])
def test_the_loss_agrees_with_numpy_also_where_widths_differ(power):
    student, teacher = random_states(), random_states(6, seed=1)
    expected = by_numpy(student.numpy(), teacher.numpy(), MASK.numpy(), power)
    found = transfer_loss(student, teacher, MASK, power).item()
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_content_of_padding_changes_nothing():
    student, teacher = random_states(), random_states(seed=1)
    expected = transfer_loss(student, teacher, MASK)
    student[0, 2], teacher[0, 2] = 50.0, -7.0
    assert transfer_loss(student, teacher, MASK) == expected


def test_states_of_zeros_give_a_finite_gradient():
    student = torch.zeros(2, 3, 4, requires_grad=True)
    transfer_loss(student, random_states(), MASK).backward()
    assert torch.isfinite(student.grad).all()


def test_the_gradient_is_that_of_finite_differences_and_none_at_the_teacher():
    student, teacher = random_states(), random_states(6, seed=1)
    check_gradient(lambda states: transfer_loss(states, teacher, MASK), student)
    student.requires_grad_()
    teacher.requires_grad_()
    transfer_loss(student, teacher, MASK).backward()
    assert teacher.grad is None


def test_the_term_is_half_beta_times_the_sum_over_the_mapped_layers():
    student, teacher = tiny.model(), tiny.model(layers=4, width=24, seed=1)
    part = batch(tiny.MULTI).inputs
    with torch.no_grad():
        own, its = (
            model(**part, output_hidden_states=True).hidden_states for model in (student, teacher)
        )
    method = AttentionTransfer(transfer_weight=8.0, power=3.0)
    found = terms(method, tiny.MULTI, (student, teacher))["attention_transfer"].item()
    mask = part["attention_mask"].numpy()
    pairs = ((1, 2), (2, 4))
    expected = sum(by_numpy(own[s].numpy(), its[t].numpy(), mask, 3.0) for s, t in pairs)
    assert found == pytest.approx(4.0 * expected, rel=1e-3)


def test_a_power_under_1_is_refused():
    with pytest.raises(ValueError, match="power"):
        AttentionTransfer(power=0.5)
