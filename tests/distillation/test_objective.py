import numpy as np
import pytest
import torch

from kdray.distillation.base import Match
from kdray.distillation.hard import Hard
from kdray.distillation.logit import Logit
from kdray.distillation.logit_mse import LogitMse
from kdray.distillation.loss import Softening, soft_loss
from kdray.distillation.none import NoTeacher
from kdray.distillation.objective import distillation_terms
from kdray.models.ensemble import Votes
from kdray.models.outputs import Outputs
from kdray.training.losses import Truth, hard_loss
from tests import tiny
from tests.distillation.lesson import batch, terms


@pytest.fixture(params=tiny.KINDS.values(), ids=tiny.KINDS.keys())
def labels(request):
    return request.param


def both_logits(labels):
    models = tiny.model(labels), tiny.model(labels, layers=4, seed=1)
    part = batch(labels)
    return models, [model(**part.inputs).logits.detach() for model in models], part.targets


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.7, 1.0])
def test_the_total_is_hard_and_soft_in_the_shares_of_alpha(alpha, labels):
    models, (own, its), targets = both_logits(labels)
    multi_label = labels.kind == "multi_label"
    found = terms(Logit(alpha=alpha, temperature=3.0), labels, models)
    assert set(found) == {"hard", "soft"}
    hard = (1 - alpha) * hard_loss(own, targets, multi_label)
    soft = alpha * soft_loss(own, its, Softening(3.0), multi_label)
    assert found["hard"].item() == pytest.approx(hard.item(), rel=1e-4, abs=1e-9)
    assert found["soft"].item() == pytest.approx(soft.item(), rel=1e-4, abs=1e-9)


def test_no_teacher_is_the_loss_against_the_labels_and_asks_no_teacher(labels):
    models, (own, _), targets = both_logits(labels)
    taught = []
    found = terms(NoTeacher(), labels, models, taught=taught)
    expected = hard_loss(own, targets, labels.kind == "multi_label")
    assert set(found) == {"hard"}
    assert found["hard"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert not taught


def test_the_label_type_decides_the_loss_and_nothing_else_can():
    # The same logits, once as labels and once as classes: a shift of all logits of an example
    # leaves a softmax as it is and moves every sigmoid.
    options = set(Logit.model_fields) | set(NoTeacher.model_fields)
    assert options.isdisjoint({"loss", "activation", "softmax", "multi_label", "kind"})
    for labels, same in ((tiny.SINGLE, True), (tiny.MULTI, False)):
        student, teacher = tiny.model(labels), tiny.model(labels, seed=1)
        before = terms(Logit(alpha=1.0), labels, (student, teacher))["soft"].item()
        with torch.no_grad():
            teacher.classifier.bias.add_(3.0)
        after = terms(Logit(alpha=1.0), labels, (student, teacher))["soft"].item()
        assert (after == pytest.approx(before, rel=1e-3)) == same


def test_a_label_may_have_an_alpha_of_its_own():
    models, (own, its), targets = both_logits(tiny.MULTI)
    method = Logit(alpha=0.5, temperature=2.0, label_alpha={"threat": 1.0, "spam": 0.1})
    found = terms(method, tiny.MULTI, models)
    alphas, z, y = np.array([0.5, 1.0, 0.1]), own.numpy(), targets.numpy()
    p, q = sigmoid(its.numpy() / 2), sigmoid(z / 2)
    hard = -(y * np.log(sigmoid(z)) + (1 - y) * np.log(1 - sigmoid(z)))
    soft = -(p * np.log(q) + (1 - p) * np.log(1 - q))
    assert found["hard"].item() == pytest.approx(((1 - alphas) * hard).mean(), rel=1e-4)
    assert found["soft"].item() == pytest.approx(4 * (alphas * soft).mean(), rel=1e-4)


def test_label_shares_are_alpha_unless_a_label_has_its_own():
    method = Logit(alpha=0.6, label_alpha={"b": 0.9})
    assert method.label_shares(("a", "b")) == [0.6, 0.9]
    assert NoTeacher().label_shares(("a", "b")) == [0.0, 0.0]


@pytest.mark.parametrize("method", [NoTeacher, Logit])
@pytest.mark.parametrize("option", ["balanced", [1.0, 3.0, 0.5]], ids=str)
def test_class_weights_weigh_the_hard_loss_alone(method, option, labels):
    models, (own, _), targets = both_logits(labels)
    # Targets of the batch: 2, 1 and 1 of 4. Balanced: negatives / positives, or 4 / (3 · count).
    balanced = [1.0, 3.0, 3.0] if labels is tiny.MULTI else [4 / 6, 4 / 3, 4 / 3]
    weights = torch.tensor(balanced if option == "balanced" else option)
    found = terms(method(class_weights=option), labels, models)
    plain = terms(method(), labels, models)
    share = 0.3 if method is Logit else 1.0
    expected = share * hard_loss(own, targets, labels is tiny.MULTI, weights)
    assert found["hard"].item() == pytest.approx(expected.item(), rel=1e-4)
    assert found["hard"] != plain["hard"]
    assert found.get("soft") == plain.get("soft")


def test_the_temperature_falls_to_1_where_it_is_asked_to():
    linear = Logit(temperature=5.0, temperature_schedule="linear")
    assert [linear.temperature_at(p) for p in (0.0, 0.25, 0.5, 1.0)] == [5.0, 4.0, 3.0, 1.0]
    constant = Logit(temperature=5.0)
    assert [constant.temperature_at(p) for p in (0.0, 0.5, 0.99)] == [5.0] * 3


def test_the_soft_term_has_the_temperature_of_the_moment(labels):
    models, (own, its), _ = both_logits(labels)
    method = Logit(alpha=1.0, temperature=5.0, temperature_schedule="linear")
    found = terms(method, labels, models, progress=0.5)["soft"]
    expected = soft_loss(own, its, Softening(3.0), labels is tiny.MULTI)
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)


def test_t_squared_can_be_dropped(labels):
    models, _, _ = both_logits(labels)
    scaled = terms(Logit(), labels, models)["soft"].item()
    plain = terms(Logit(scale_by_temperature=False), labels, models)["soft"].item()
    assert scaled == pytest.approx(16 * plain, rel=1e-4)


def votes_of(labels, weights=(0.5, 0.5)):
    rng = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, 4, len(labels.names), generator=rng)
    return Votes(logits, weights)


def taught_by(method, labels, votes, progress=0.5):
    """The soft term of a student whose ensemble votes so, whatever its first member says."""
    student = tiny.model(labels)
    told = Outputs(torch.zeros(4, len(labels.names)), votes=votes)
    truth = Truth(labels, batch(labels).targets)
    compute = distillation_terms(method, student, Match(), lambda *_: told, truth)
    own = student(**batch(labels).inputs).logits.detach()
    return own, compute(batch(labels), progress)["soft"].item()


def test_an_ensemble_teaches_by_its_mean_probability_at_the_temperature_of_the_moment(labels):
    votes, multi_label = votes_of(labels, (0.2, 0.8)), labels.kind == "multi_label"
    method = Logit(alpha=1.0, temperature=5.0, temperature_schedule="linear")
    own, found = taught_by(method, labels, votes)
    soften = torch.sigmoid if multi_label else (lambda z: torch.softmax(z, -1))
    mean = 0.2 * soften(votes.logits[0] / 3) + 0.8 * soften(votes.logits[1] / 3)
    its = 3 * (mean.logit() if multi_label else mean.log())
    expected = soft_loss(own, its, Softening(3.0), multi_label)
    assert found == pytest.approx(expected.item(), rel=1e-4)


def test_an_ensemble_decides_by_its_mean_probability(labels):
    # Two of three members lean to one answer a little, the third to the other very much.
    multi_label = labels.kind == "multi_label"
    leaning, sure = torch.zeros(4, 3), torch.zeros(4, 3)
    leaning[:, 0], sure[:, 0], sure[:, 2] = 0.2, -4.0, -0.5
    votes = Votes(torch.stack([leaning, leaning, sure]), (1 / 3, 1 / 3, 1 / 3))
    own, found = taught_by(Hard(alpha=1.0), labels, votes)
    if multi_label:
        expected = hard_loss(own, torch.zeros(4, 3), True)
    else:
        expected = hard_loss(own, torch.ones(4, dtype=torch.long), False)
    assert found == pytest.approx(expected.item(), rel=1e-4)


def test_the_logits_of_an_ensemble_are_matched_by_their_weighted_mean(labels):
    votes = votes_of(labels, (0.2, 0.8))
    own, found = taught_by(LogitMse(alpha=1.0), labels, votes)
    mean = 0.2 * votes.logits[0] + 0.8 * votes.logits[1]
    assert found == pytest.approx((own - mean).pow(2).mean().item(), rel=1e-4)
