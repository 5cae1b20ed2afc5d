import numpy as np
import pytest
import torch

from kdray.distillation.hard import Hard, decisions
from tests import tiny
from tests.distillation.lesson import batch, gradient, terms
from tests.distillation.slope import check_gradient

LOGITS = torch.tensor([[0.2, -1.0, 3.0], [-0.1, -5.0, -2.0]])


def both_logits(labels):
    models = tiny.model(labels), tiny.model(labels, layers=4, seed=1)
    return models, [model(**batch(labels).inputs).logits.detach().numpy() for model in models]


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def test_decisions_by_hand():
    assert decisions(LOGITS, False).tolist() == [2, 0]
    assert decisions(LOGITS, True).tolist() == [[1, 0, 1], [0, 0, 0]]


def test_of_classes_it_is_the_cross_entropy_with_the_most_likely():
    models, (own, its) = both_logits(tiny.SINGLE)
    found = terms(Hard(alpha=0.6), tiny.SINGLE, models)["soft"].item()
    z = own[np.arange(len(own)), its.argmax(-1)]
    expected = (np.log(np.exp(own).sum(-1)) - z).mean()
    assert found == pytest.approx(0.6 * expected, rel=1e-4)


def test_of_labels_it_is_the_binary_cross_entropy_with_what_is_over_a_half():
    models, (own, its) = both_logits(tiny.MULTI)
    method = Hard(alpha=0.5, label_alpha={"threat": 1.0, "spam": 0.1})
    found = terms(method, tiny.MULTI, models)["soft"].item()
    y, q = (sigmoid(its) > 0.5), sigmoid(own)
    losses = -(y * np.log(q) + ~y * np.log(1 - q))
    assert 0 < y.mean() < 1
    assert found == pytest.approx((np.array([0.5, 1.0, 0.1]) * losses).mean(), rel=1e-4)


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_gradient_is_that_of_finite_differences(multi_label):
    weights = torch.tensor([0.5, 1.0, 0.1]) if multi_label else None
    check_gradient(
        lambda logits: Hard().soft_term(logits, LOGITS, 0.5, multi_label, weights),
        torch.randn(2, 3, generator=torch.Generator().manual_seed(0)),
    )


@pytest.mark.parametrize("labels", tiny.KINDS.values(), ids=tiny.KINDS)
def test_teachers_that_decide_alike_teach_alike(labels):
    student, teacher = tiny.model(labels), tiny.model(labels, layers=4, seed=1)
    before = terms(Hard(), labels, (student, teacher))["soft"]
    teacher.classifier.weight.data *= 3  # all logits are three times as large now
    teacher.classifier.bias.data *= 3
    assert terms(Hard(), labels, (student, teacher))["soft"] == before


@pytest.mark.parametrize("labels", tiny.KINDS.values(), ids=tiny.KINDS)
def test_a_student_that_is_its_teacher_grows_surer(labels):
    student, teacher = tiny.model(labels), tiny.model(labels)
    soft = terms(Hard(alpha=1.0), labels, (student, teacher))["soft"]
    assert gradient(soft, student).norm() > 0


def test_class_weights_weigh_the_labels_of_the_data_alone():
    models, _ = both_logits(tiny.MULTI)
    plain = terms(Hard(), tiny.MULTI, models)
    weighted = terms(Hard(class_weights=[1.0, 3.0, 0.5]), tiny.MULTI, models)
    assert weighted["soft"] == plain["soft"]
    assert weighted["hard"] != plain["hard"]


def test_it_takes_no_temperature_which_would_do_nothing():
    with pytest.raises(ValueError, match="temperature"):
        Hard(temperature=2.0)
