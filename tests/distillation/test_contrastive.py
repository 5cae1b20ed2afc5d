"""One of many: the loss, the bank it is taken from, and whole trials."""

from typing import Any

import numpy as np
import pytest
import torch

from kdray.config.sections import Evaluation
from kdray.distillation.base import Shape
from kdray.distillation.contrastive import WIDTH, Contrastive, contrast_loss
from kdray.models.building import borrow
from kdray.models.outputs import Needs
from kdray.preparation import prepare
from kdray.results.records import TEACHER_EXAMPLES
from kdray.schema import trial_config
from kdray.trial import run_trial
from tests import tiny
from tests.distillation.lesson import batch, matched, other_features, terms
from tests.distillation.slope import check_gradient
from tests.tiny_sweep import tiny_config


def by_numpy(student, teacher, temperature):
    """The InfoNCE form of the paper's objective, example by example."""
    own, its = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (student, teacher))
    losses = []
    for i, s in enumerate(own):
        exponentials = [np.exp(s @ t / temperature) for t in its]
        losses.append(-np.log(exponentials[i] / sum(exponentials)))
    return np.mean(losses)


def random_rows(count, seed=0, width=5):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def features(model):
    """What the classifier of BERT reads."""
    return model.bert(**batch(tiny.MULTI).inputs).pooler_output.detach()


def test_the_loss_by_hand():
    # One example at its teacher's place, two others at right angles: −ln(e² / (e² + 2)) at τ = ½.
    student = torch.tensor([[2.0, 0.0]])
    teacher = torch.tensor([[0.5, 0.0], [0.0, 1.0], [0.0, -3.0]])
    expected = -np.log(np.exp(2) / (np.exp(2) + 2))
    assert contrast_loss(student, teacher, 0.5).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [0.07, 1.0])
@pytest.mark.parametrize("others", [0, 7])
def test_the_loss_agrees_with_numpy(temperature, others):
    student, teacher = random_rows(3), random_rows(3 + others, seed=1)
    expected = by_numpy(student.double().numpy(), teacher.double().numpy(), temperature)
    found = contrast_loss(student, teacher, temperature).item()
    assert found == pytest.approx(expected, rel=1e-4)


def test_the_gradient_is_that_of_finite_differences():
    teacher = random_rows(6, seed=1)
    check_gradient(lambda rows: contrast_loss(rows, teacher, 0.5), random_rows(3))


def test_rows_without_a_direction_have_a_finite_gradient():
    student = torch.zeros(2, 5, requires_grad=True)
    contrast_loss(student, random_rows(4, seed=1), 0.07).backward()
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize("negatives", [0, 1024])
def test_the_term_goes_over_the_batch_and_the_bank(negatives):
    method = Contrastive(negatives=negatives)
    student, teacher = tiny.model(), tiny.model(layers=4, width=24, seed=1)
    match = matched(method, student, teacher)
    found = terms(method, tiny.MULTI, (student, teacher), match)["contrast"].item()
    known = [features(teacher)]
    if negatives:
        known.append(other_features(teacher, batch(tiny.MULTI)).detach())
    own = match.projections["student"](features(student)).detach().numpy()
    its = match.projections["teacher"](torch.cat(known)).detach().numpy()
    assert found == pytest.approx(by_numpy(own, its, 0.07), rel=1e-3)


def test_both_are_projected_to_one_width():
    for width in (16, 24):
        projections = Contrastive().match(Shape(2, 16), Shape(4, width)).projections
        assert projections["student"].weight.shape == (WIDTH, 16)
        assert projections["teacher"].weight.shape == (WIDTH, width)


def test_both_projections_learn_and_the_teacher_does_not():
    student, teacher = tiny.model(), tiny.model(layers=4, seed=1)
    match = matched(Contrastive(), student, teacher)
    terms(Contrastive(), tiny.MULTI, (student, teacher), match)["contrast"].backward()
    assert all(map_.weight.grad.abs().max() > 0 for map_ in match.projections.values())
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_the_bank_is_asked_of_the_teacher_alone():
    features_alone = Needs(features=True)
    assert Contrastive().needs(frozenset()) == features_alone
    assert Contrastive(negatives=9).teacher_needs(frozenset()) == features_alone | Needs(bank=9)
    assert not Contrastive().reads_positions


def test_a_teacher_without_a_bank_is_refused(monkeypatch):
    monkeypatch.setattr("tests.distillation.lesson.other_features", lambda *_: None)
    with pytest.raises(RuntimeError, match="bank of the teacher's features was not asked for"):
        terms(Contrastive(), tiny.MULTI, (tiny.model(), tiny.model(seed=1)))


@pytest.mark.parametrize("family", tiny.ALL_FAMILIES)
def test_every_family_has_features_to_tell_apart(family):
    models = tiny.model(family=family), tiny.model(family=family, layers=4, seed=1)
    assert terms(Contrastive(), tiny.MULTI, models)["contrast"] > 0


UNPRUNED = {"method": "none"}
STAGED = {"method": "magnitude", "ratio": 0.5, "schedule": {"stages": 2}}


def trained(
    folder: Any, negatives: int, pruning: Any = UNPRUNED, training: Any = None, **teacher: Any
) -> Any:
    options = {"method": "contrastive", "negatives": negatives}
    sweep = prepare(tiny_config(folder, distillation={**options, "alpha": None}, teacher=teacher))
    sections = {
        "student": {"layers": 1},
        "pruning": pruning,
        "distillation": options,
        "training": {"epochs": 3, "precision": "float32", **(training or {})},
    }
    return sweep, run_trial(trial_config(sections, Evaluation(), "macro_f1"), sweep)


@pytest.mark.parametrize("negatives", [50, 1024])
def test_the_student_learns_to_tell_the_examples_apart(tmp_path, negatives):
    # Long enough that what is learnt is more than what other negatives change.
    training = {"epochs": 6, "learning_rate": 3e-3}
    sweep, finished = trained(tmp_path, negatives, training=training)
    assert sweep.outputs.array("features").shape == (200, 16)
    losses = [r.training["loss"] * r.training["loss_share_contrast"] for r in finished.epochs]
    # By chance it is ln(1 + others), of 199 or of the batch and the bank.
    assert losses[-1] < losses[0] < np.log(200) + 0.5
    assert not any(TEACHER_EXAMPLES in report.training for report in finished.epochs)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a teacher that is trained already."""
    folder = tmp_path_factory.mktemp("teacher")
    sweep = prepare(tiny_config(folder))
    for part in (borrow(sweep.teacher), sweep.tokenizer):
        part.save_pretrained(folder)
    return str(folder)


# The logits are not kept either, and are asked for every epoch: of an ensemble, those of both. The
# bank is that of the first.
@pytest.mark.parametrize(
    ("members", "expected"), [(1, [400, 200, 200]), (2, [600, 400, 400])], ids=["one", "ensemble"]
)
@pytest.mark.parametrize("pruning", [UNPRUNED, STAGED], ids=["unpruned", "staged"])
def test_without_a_cache_the_teacher_is_run_once_a_trial_for_the_bank(
    tmp_path, stored, pruning, members, expected
):
    model = [stored] * members if members > 1 else stored
    teacher = {"model": model, "architecture": None, "training": None}
    _, kept = trained(tmp_path, 1024, pruning, **teacher)
    _, alone = trained(tmp_path, 1024, pruning, **teacher, cache={"where": "off"})
    assert np.allclose(kept.logits["test"], alone.logits["test"], atol=1e-3)
    assert [report.training[TEACHER_EXAMPLES] for report in alone.epochs] == expected
