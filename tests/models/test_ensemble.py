import numpy as np
import pytest
import torch

from kdray.distillation.loss import Softening, soft_loss
from kdray.models.ensemble import Votes, blended, mean_logits


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def votes(*members, weights=(0.5, 0.5)):
    return Votes(torch.tensor(np.array(members), dtype=torch.float32), weights)


def test_the_mean_probability_of_labels_by_hand():
    # σ(ln 3) = 3/4 and σ(0) = 1/2: 5/8 in the middle, 11/16 where the first counts three times.
    two = ([[np.log(3.0)]], [[0.0]])
    assert blended(votes(*two), 1.0, True).item() == pytest.approx(np.log(5 / 3))
    weighted = blended(votes(*two, weights=(0.75, 0.25)), 1.0, True)
    assert weighted.item() == pytest.approx(np.log(11 / 5))


def test_the_mean_probability_of_classes_by_hand():
    # softmax([ln 3, 0]) = [3/4, 1/4], softmax([0, 0]) = [1/2, 1/2]: [5/8, 3/8] in the middle.
    found = blended(votes([[np.log(3.0), 0.0]], [[0.0, 0.0]]), 1.0, False)
    assert torch.softmax(found, -1)[0].tolist() == pytest.approx([5 / 8, 3 / 8])


def test_the_mean_at_a_temperature_is_not_the_softened_mean():
    # At T = 2 members with σ(z / 2) of 9/10 and 1/10 give 1/2, those with z of 4 ln 3 and 0 do not:
    # σ(2 ln 3) = 9/10 and 1/2 give 7/10, whose logit times T is 2 ln(7/3).
    found = blended(votes([[4 * np.log(3.0)]], [[0.0]]), 2.0, True).item()
    assert found == pytest.approx(2 * np.log(7 / 3))
    assert found != pytest.approx(blended(votes([[4 * np.log(3.0)]], [[0.0]]), 1.0, True).item())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("multi_label", [True, False])
def test_the_soft_loss_against_an_ensemble_is_that_against_its_mean_probability(
    temperature, multi_label
):
    rng = np.random.default_rng(0)
    members, own = 3 * rng.normal(size=(3, 5, 4)), rng.normal(size=(5, 4))
    weights = (0.5, 0.3, 0.2)
    soften = sigmoid if multi_label else softmax
    mean = sum(w * soften(z / temperature) for w, z in zip(weights, members, strict=True))
    its, p = blended(votes(*members, weights=weights), temperature, multi_label), mean
    q = soften(own / temperature)
    if multi_label:
        expected = -(p * np.log(q) + (1 - p) * np.log(1 - q)).mean()
    else:
        expected = (p * (np.log(p) - np.log(q))).sum(-1).mean()
    found = soft_loss(torch.tensor(own), its, Softening(temperature), multi_label)
    assert found.item() == pytest.approx(temperature**2 * expected, rel=1e-5)


@pytest.mark.parametrize("multi_label", [True, False])
def test_members_who_say_the_same_say_it_together(multi_label):
    z = torch.tensor([[2.0, 0.5, -1.0]])
    found = blended(Votes(torch.stack([z, z]), (0.3, 0.7)), 4.0, multi_label)
    if multi_label:
        assert torch.allclose(found, z, atol=1e-5)
    assert torch.allclose(torch.softmax(found / 4, -1), torch.softmax(z / 4, -1), atol=1e-6)


@pytest.mark.parametrize("multi_label", [True, False])
def test_members_who_are_very_sure_give_finite_logits(multi_label):
    found = blended(votes([[300.0, -300.0]], [[-300.0, 300.0]]), 0.5, multi_label)
    assert found.isfinite().all()
    assert found[0].tolist() == pytest.approx([found[0, 1].item()] * 2)


def test_logits_are_averaged_by_weight():
    found = mean_logits(votes([[1.0, 2.0]], [[3.0, -2.0]], weights=(0.25, 0.75)))
    assert found.tolist() == [[2.5, -1.0]]
