import numpy as np
import pytest
import torch

from kdray.distillation.logit_mse import LogitMse, logit_mse
from tests import tiny
from tests.distillation.lesson import batch, terms

STUDENT = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]])
TEACHER = torch.tensor([[0.0, -2.0, 2.5], [4.0, 3.0, 1.0]])


def test_the_loss_by_hand():
    # Squares 1, 0, 4 and 16, 0, 0.
    assert logit_mse(STUDENT, TEACHER).item() == pytest.approx(21 / 6)


def test_label_weights_weigh_their_columns():
    # Columns hold 17, 0 and 4.
    weights = torch.tensor([0.5, 1.0, 0.25])
    assert logit_mse(STUDENT, TEACHER, weights).item() == pytest.approx((8.5 + 1) / 6)


def test_the_gradient_by_hand_and_none_at_the_teacher():
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    logit_mse(student, teacher).backward()
    assert torch.allclose(student.grad, 2 * (STUDENT - TEACHER) / 6)
    assert teacher.grad is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_it_is_computed_in_float32(dtype):
    found = logit_mse(STUDENT.to(dtype), TEACHER.to(dtype))
    assert found.dtype == torch.float32
    assert found == logit_mse(STUDENT, TEACHER)


@pytest.mark.parametrize("labels", tiny.KINDS.values(), ids=tiny.KINDS)
def test_it_is_the_soft_term_in_the_share_of_alpha(labels):
    models = tiny.model(labels), tiny.model(labels, layers=4, seed=1)
    own, its = (model(**batch(labels).inputs).logits.detach().numpy() for model in models)
    found = terms(LogitMse(alpha=0.4), labels, models)
    assert set(found) == {"hard", "soft"}
    assert found["soft"].item() == pytest.approx(0.4 * ((own - its) ** 2).mean(), rel=1e-4)


def test_a_label_may_have_an_alpha_of_its_own():
    models = tiny.model(tiny.MULTI), tiny.model(tiny.MULTI, layers=4, seed=1)
    own, its = (model(**batch(tiny.MULTI).inputs).logits.detach().numpy() for model in models)
    found = terms(LogitMse(alpha=0.5, label_alpha={"threat": 1.0, "spam": 0.1}), tiny.MULTI, models)
    expected = (np.array([0.5, 1.0, 0.1]) * (own - its) ** 2).mean()
    assert found["soft"].item() == pytest.approx(expected, rel=1e-4)


def test_it_takes_no_temperature_which_would_do_nothing():
    with pytest.raises(ValueError, match="temperature"):
        LogitMse(temperature=2.0)
