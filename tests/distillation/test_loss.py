import numpy as np
import pytest
import torch

from kdray.distillation.loss import (
    Softening,
    attention_kl,
    attention_mse,
    hidden_loss,
    soft_loss,
)
from tests.distillation.slope import check_gradient

MASK = torch.tensor([[1, 1, 0], [1, 1, 1]])


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def random_logits(seed=0):
    return torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(seed)).unbind()


def test_the_soft_loss_of_labels_by_hand():
    # z_t = [2, 0.5, −1, 1.5, −2] at T = 4: σ = [0.62, 0.53, 0.44, 0.59, 0.38]. A student that says
    # 0.5 of all pays ln 2 a label whatever the target; times T² = 16.
    teacher = torch.tensor([[2.0, 0.5, -1.0, 1.5, -2.0]])
    student = torch.zeros(1, 5, requires_grad=True)
    loss = soft_loss(student, teacher, Softening(4.0), multi_label=True)
    assert loss.item() == pytest.approx(16 * np.log(2), rel=1e-6)
    # ∂/∂z_s = T² · (σ(z_s/T) − σ(z_t/T)) / T / C, which tells the targets.
    (gradient,) = torch.autograd.grad(loss, student)
    targets = 0.5 - gradient[0] * 5 / 4
    assert np.allclose(targets.detach(), [0.62, 0.53, 0.44, 0.59, 0.38], atol=0.005)


@pytest.mark.parametrize(
    ("temperature", "expected"), [(1, [0.9997, 0.0003]), (2, [0.982, 0.018]), (5, [0.83, 0.17])]
)
def test_the_soft_loss_of_classes_by_hand(temperature, expected):
    # softmax([10, 2] / T) as given; against a student that says 1/2, KL = ln 2 + Σ p ln p.
    teacher, student = torch.tensor([[10.0, 2.0]]), torch.zeros(1, 2, requires_grad=True)
    loss = soft_loss(student, teacher, Softening(temperature), multi_label=False)
    p = softmax(np.array([10.0, 2.0]) / temperature)
    assert p == pytest.approx(expected, abs=0.003)
    divergence = np.log(2) + (p * np.log(p)).sum()
    assert loss.item() == pytest.approx(temperature**2 * divergence, rel=1e-5)
    # ∂/∂z_s = T² · (1/2 − p) / T
    (gradient,) = torch.autograd.grad(loss, student)
    assert np.allclose(gradient.numpy(), temperature * (0.5 - p), atol=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_soft_loss_of_classes_agrees_with_numpy(temperature):
    z_s, z_t = random_logits()
    p, q = softmax(z_t.numpy() / temperature), softmax(z_s.numpy() / temperature)
    expected = temperature**2 * (p * np.log(p / q)).sum(-1).mean()
    assert soft_loss(z_s, z_t, Softening(temperature), False).item() == pytest.approx(
        expected, rel=1e-4
    )


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_soft_loss_of_labels_agrees_with_numpy(temperature):
    z_s, z_t = random_logits()
    p, q = sigmoid(z_t.numpy() / temperature), sigmoid(z_s.numpy() / temperature)
    shares = np.array([1.0, 0.3, 0.0])
    losses = -(p * np.log(q) + (1 - p) * np.log(1 - q)) * shares
    given = torch.tensor(shares, dtype=torch.float32)
    found = soft_loss(z_s, z_t, Softening(temperature), True, given)
    assert found.item() == pytest.approx(temperature**2 * losses.mean(), rel=1e-5)


@pytest.mark.parametrize("multi_label", [True, False])
def test_without_scale_t_squared_is_left_out(multi_label):
    z_s, z_t = random_logits()
    scaled = soft_loss(z_s, z_t, Softening(3.0), multi_label)
    plain = soft_loss(z_s, z_t, Softening(3.0, scale=False), multi_label)
    assert scaled.item() == pytest.approx(9 * plain.item(), rel=1e-5)


@pytest.mark.parametrize("multi_label", [True, False])
def test_t_squared_keeps_the_gradient_at_one_size(multi_label):
    # For large T both gradients tend to a constant; without T² they fall as 1 / T².
    z_s, z_t = random_logits()
    norms = []
    for temperature in (20.0, 40.0):
        student = z_s.clone().requires_grad_()
        soft_loss(student, z_t, Softening(temperature), multi_label).backward()
        norms.append(student.grad.norm().item())
    assert norms[0] == pytest.approx(norms[1], rel=0.05)


@pytest.mark.parametrize("multi_label", [True, False])
def test_the_soft_loss_has_no_gradient_at_the_teacher(multi_label):
    z_t = (3 * random_logits()[0]).requires_grad_()
    student = z_t.detach().clone().requires_grad_()
    soft_loss(student, z_t, Softening(4.0), multi_label).backward()
    assert student.grad.abs().max() < 1e-6
    assert z_t.grad is None


@pytest.mark.parametrize("multi_label", [True, False])
def test_large_logits_stay_finite(multi_label):
    z = torch.tensor([[500.0, -500.0, 0.0]])
    assert torch.isfinite(soft_loss(-z, z, Softening(1.0), multi_label))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_losses_are_computed_in_float32(dtype):
    a, b = torch.rand(2, 2, 3, 3).to(dtype).unbind()
    for loss in (hidden_loss, attention_mse, attention_kl):
        assert loss(a, b, MASK).dtype == torch.float32
        assert loss(a, b, MASK) == loss(a.float(), b.float(), MASK)
    assert soft_loss(a[0], b[0], Softening(2.0), True).dtype == torch.float32


def test_the_hidden_loss_by_hand():
    # Squares of the real positions: 1 and 4 in the first text, 9, 16, 0 in the second, mean 6.
    student = torch.tensor([[[1.0], [2.0], [50.0]], [[3.0], [4.0], [0.0]]])
    assert hidden_loss(student, torch.zeros(2, 3, 1), MASK) == pytest.approx(30 / 5)
    assert hidden_loss(student, torch.zeros(2, 3, 1), None) == pytest.approx(2530 / 6)


def test_the_hidden_loss_is_a_mean_over_channels():
    assert hidden_loss(torch.full((1, 2, 4), 3.0), torch.ones(1, 2, 4), None) == 4.0


def test_the_attention_mse_by_hand():
    # Of 2 real positions 4 pairs, of 3 real positions 9; one pair differs by 0.5 in each text, and
    # what differs at padding does not count: (0.25 + 0.25) / 13.
    student, teacher = torch.zeros(2, 3, 3), torch.zeros(2, 3, 3)
    student[0, 0, 1], student[1, 2, 0] = 0.5, -0.5
    student[0, 2, 0] = student[0, 0, 2] = student[0, 2, 2] = 7.0
    assert attention_mse(student, teacher, MASK).item() == pytest.approx(0.5 / 13)
    assert attention_mse(student[1:], teacher[1:], None).item() == pytest.approx(0.25 / 9)


def test_the_attention_kl_by_hand():
    # One row differs: KL([1/2, 1/2] ‖ [1/4, 3/4]) = ½ ln 2 + ½ ln ⅔, over 2 real rows.
    teacher = torch.tensor([[[0.5, 0.5, 0.0], [0.2, 0.8, 0.0], [0.3, 0.3, 0.4]]])
    student = torch.tensor([[[0.25, 0.75, 0.0], [0.2, 0.8, 0.0], [1.0, 0.0, 0.0]]])
    expected = (0.5 * np.log(2) + 0.5 * np.log(2 / 3)) / 2
    assert attention_kl(student, teacher, MASK[:1]).item() == pytest.approx(expected, rel=1e-5)


def test_the_attention_kl_agrees_with_numpy():
    z = np.random.default_rng(0).normal(size=(2, 2, 3, 3))
    a_s, a_t = softmax(z[0]), softmax(z[1])
    expected = (a_t * np.log(a_t / a_s)).sum(-1).mean()
    found = attention_kl(torch.tensor(a_s), torch.tensor(a_t), None)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def mean_of_squares(loss, student, teacher):
    """Position by position of each text, or pair by pair of positions, in numpy."""
    found = []
    for text, real in enumerate(MASK.sum(1).tolist()):
        for i in range(real):
            pairs = range(real if loss is attention_mse else student.shape[2])
            found += [(student[text, i, j] - teacher[text, i, j]) ** 2 for j in pairs]
    return np.mean(found)


@pytest.mark.parametrize(("loss", "width"), [(hidden_loss, 5), (attention_mse, 3)])
def test_the_losses_of_squares_agree_with_numpy(loss, width):
    student, teacher = torch.randn(2, 2, 3, width, generator=torch.Generator().manual_seed(0))
    expected = mean_of_squares(loss, student.double().numpy(), teacher.double().numpy())
    assert loss(student, teacher, MASK).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("mask", [MASK, None], ids=["padded", "whole"])
@pytest.mark.parametrize("loss", [hidden_loss, attention_mse, attention_kl])
def test_the_gradient_is_that_of_finite_differences(loss, mask):
    states = torch.randn(2, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    student, teacher = states.softmax(-1)
    check_gradient(lambda values: loss(values, teacher, mask), student)


@pytest.mark.parametrize("loss", [hidden_loss, attention_mse, attention_kl])
def test_the_content_of_padding_changes_nothing(loss):
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.rand(2, 2, 3, 3, generator=generator).unbind()
    expected = loss(student, teacher, MASK)
    for tensor in (student, teacher):
        tensor[0, 2] = 0.9
        if loss is not hidden_loss:  # columns too are positions of an attention
            tensor[0, :, 2] = 0.8
    assert loss(student, teacher, MASK) == expected


@pytest.mark.parametrize("loss", [hidden_loss, attention_mse, attention_kl])
def test_no_gradient_flows_into_the_teacher(loss):
    student, teacher = torch.rand(2, 2, 3, 3).requires_grad_().unbind()
    leaf = teacher.detach().requires_grad_()
    loss(student, leaf, MASK).backward()
    assert leaf.grad is None
