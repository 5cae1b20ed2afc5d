import numpy as np
import pytest
import torch

from kdray.training.losses import Truth, balanced_weights, class_weights, hard_loss
from tests import tiny

CPU = torch.device("cpu")


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def test_the_loss_against_classes_by_hand():
    # softmax([ln 3, 0]) = [3/4, 1/4]: −ln 3/4 for class 0, −ln 1/4 for class 1, their mean.
    logits = torch.tensor([[np.log(3.0), 0.0], [np.log(3.0), 0.0]], dtype=torch.float32)
    found = hard_loss(logits, torch.tensor([0, 1]), multi_label=False)
    assert found.item() == pytest.approx((np.log(4 / 3) + np.log(4)) / 2, rel=1e-6)


def test_the_loss_against_labels_by_hand():
    # σ([ln 3, 0]) = [3/4, 1/2]: −ln 3/4 for a 1, −ln 1/2 for a 0, the mean over both labels.
    logits = torch.tensor([[np.log(3.0), 0.0]], dtype=torch.float32)
    found = hard_loss(logits, torch.tensor([[1.0, 0.0]]), multi_label=True)
    assert found.item() == pytest.approx((np.log(4 / 3) + np.log(2)) / 2, rel=1e-6)


def test_the_loss_against_labels_agrees_with_numpy():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(6, 3)), (rng.random((6, 3)) < 0.4).astype(float)
    positive, shares = np.array([1.0, 4.0, 0.5]), np.array([1.0, 0.2, 0.0])
    losses = -(positive * y * np.log(sigmoid(z)) + (1 - y) * np.log(1 - sigmoid(z)))
    found = hard_loss(
        torch.tensor(z),
        torch.tensor(y, dtype=torch.float32),
        True,
        torch.tensor(positive, dtype=torch.float32),
        torch.tensor(shares, dtype=torch.float32),
    )
    assert found.item() == pytest.approx((losses * shares).mean(), rel=1e-6)


def test_the_loss_against_classes_is_an_average_by_class_weight():
    rng = np.random.default_rng(0)
    z, y, weights = rng.normal(size=(6, 3)), np.array([0, 1, 2, 0, 1, 1]), np.array([1.0, 2.0, 5.0])
    probability = (np.exp(z) / np.exp(z).sum(-1, keepdims=True))[np.arange(6), y]
    expected = (weights[y] * -np.log(probability)).sum() / weights[y].sum()
    given = torch.tensor(weights, dtype=torch.float32)
    assert hard_loss(torch.tensor(z), torch.tensor(y), False, given).item() == pytest.approx(
        expected, rel=1e-6
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("labels", tiny.KINDS.values(), ids=tiny.KINDS)
def test_the_loss_is_computed_in_float32_whatever_the_model(labels, dtype):
    logits = torch.randn(5, 3).to(dtype)
    targets = torch.from_numpy(tiny.targets(labels, 5))
    multi_label = labels.kind == "multi_label"
    found = hard_loss(logits, targets, multi_label)
    assert found.dtype == torch.float32
    assert found == hard_loss(logits.float(), targets, multi_label)


def test_balanced_weights_of_labels_are_negatives_over_positives():
    # Of 4: 1, 2 and 4 positives: 3/1, 2/2, 0/4.
    targets = torch.tensor([[1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 1]], dtype=torch.float32)
    assert balanced_weights(targets, True, 3).tolist() == [3.0, 1.0, 0.0]


def test_balanced_weights_of_classes_are_those_of_scikit_learn():
    from sklearn.utils.class_weight import compute_class_weight

    targets = np.array([0, 0, 0, 1, 2, 2])
    # N / (C · count): 6/9, 6/3, 6/6.
    found = balanced_weights(torch.from_numpy(targets), False, 3).tolist()
    assert found == pytest.approx([2 / 3, 2.0, 1.0])
    assert found == pytest.approx(
        compute_class_weight("balanced", classes=np.arange(3), y=targets).tolist()
    )


@pytest.mark.parametrize("labels", tiny.KINDS.values(), ids=tiny.KINDS)
def test_a_label_that_never_occurs_has_a_finite_balanced_weight(labels):
    targets = torch.from_numpy(tiny.targets(labels, 6))
    if labels.kind == "multi_label":
        targets[:, 2] = 0
    else:
        targets[targets == 2] = 0
    assert torch.isfinite(balanced_weights(targets, labels.kind == "multi_label", 3)).all()


@pytest.mark.parametrize("labels", tiny.KINDS.values(), ids=tiny.KINDS)
def test_class_weights_are_none_balanced_or_a_list(labels):
    truth = Truth(labels, torch.from_numpy(tiny.targets(labels, 6)))
    assert class_weights("none", truth, CPU) is None
    assert class_weights([1.0, 2.0, 3.0], truth, CPU).tolist() == [1.0, 2.0, 3.0]
    # A third each: 4 negatives over 2 positives; 6 / (3 · 2).
    expected = 2.0 if truth.multi_label else 1.0
    assert class_weights("balanced", truth, CPU).tolist() == [expected] * 3
