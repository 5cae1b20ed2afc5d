"""Hints first, then predictions: the loss, its two stages, and whole trials."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from kdray import pupils
from kdray.config.sections import Evaluation
from kdray.distillation.base import Shape
from kdray.distillation.fitnet import FitNet, hint_loss
from kdray.distillation.logit import Logit
from kdray.distillation.table import DISTILLATION
from kdray.models.outputs import Needs
from kdray.preparation import PreparedSweep, prepare
from kdray.schema import TrialConfig, trial_config
from kdray.trial import run_trial
from tests import tiny
from tests.distillation.lesson import batch, gradient, matched, terms
from tests.distillation.slope import check_gradient
from tests.tiny_sweep import tiny_config

MASK = torch.tensor([[1, 1, 0], [1, 1, 1]])


def by_numpy(student, teacher, mask):
    """Equation 3 of the paper without its factor ½, as a mean over positions."""
    losses = [
        np.linalg.norm(s[i] - t[i]) ** 2
        for s, t, m in zip(student, teacher, mask, strict=True)
        for i in range(len(m))
        if m[i]
    ]
    return np.mean(losses)


def random_states(seed=0):
    return torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(seed))


def middle_states(model, layer):
    states = model(**batch(tiny.MULTI).inputs, output_hidden_states=True).hidden_states
    return states[layer].detach().numpy()


def test_the_loss_by_hand():
    # Distances 5 and 0 at the real positions, the third is padding: (25 + 0) / 2.
    student = torch.tensor([[[3.0, 4.0], [1.0, 1.0], [9.0, 9.0]]])
    teacher = torch.tensor([[[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]])
    assert hint_loss(student, teacher, MASK[:1]).item() == pytest.approx(12.5)


@pytest.mark.parametrize("mask", [MASK, None])
def test_the_loss_agrees_with_numpy(mask):
    student, teacher = random_states(), random_states(1)
    expected = by_numpy(student.numpy(), teacher.numpy(), np.ones((2, 3)) if mask is None else mask)
    assert hint_loss(student, teacher, mask).item() == pytest.approx(expected, rel=1e-5)


def test_the_gradient_is_that_of_finite_differences():
    check_gradient(lambda states: hint_loss(states, random_states(1), MASK), random_states())


@pytest.mark.parametrize(
    ("student", "teacher", "pair"),
    [(2, 4, {1: 2}), (3, 6, {2: 3}), (6, 12, {3: 6}), (1, 4, {1: 2}), (3, 5, {2: 3})],
)
def test_the_middle_layers_are_a_pair(student, teacher, pair):
    assert FitNet().match(Shape(student, 16), Shape(teacher, 16)).pairs == pair
    assert FitNet().needs(frozenset({2})) == Needs(hidden=frozenset({2}))


@pytest.mark.parametrize("width", [16, 24])
def test_the_first_stage_is_the_hint_alone(width):
    student, teacher = tiny.model(), tiny.model(layers=4, width=width, seed=1)
    match = matched(FitNet(), student, teacher)
    found = terms(FitNet(), tiny.MULTI, (student, teacher), match, progress=0.0)
    assert set(found) == {"hint"}
    own = middle_states(student, 1)
    if width != 16:
        own = own @ match.projections["2"].weight.detach().numpy().T
    mask = batch(tiny.MULTI).inputs["attention_mask"]
    expected = by_numpy(own, middle_states(teacher, 2), mask)
    assert found["hint"].item() == pytest.approx(expected, rel=1e-4)


def test_the_second_stage_is_that_of_logit():
    models = tiny.model(), tiny.model(layers=4, seed=1)
    for progress, linear in ((0.25, {}), (0.9, {"temperature_schedule": "linear"})):
        found = terms(FitNet(**linear), tiny.MULTI, models, progress=progress)
        assert found == terms(Logit(**linear), tiny.MULTI, models, progress=progress)


def test_the_hints_end_after_their_share_of_the_training():
    hinting = [FitNet(hint_epochs=0.5).hinting(progress) for progress in (0.0, 0.49, 0.5, 0.99)]
    assert hinting == [True, True, False, False]


def test_no_other_method_gives_hints():
    for name, method in DISTILLATION.items():
        assert name == "fitnet" or not method().hinting(0.0)


def hints(models, match=None, **moment):
    return terms(FitNet(), tiny.MULTI, models, match, progress=0.0, **moment)["hint"]


def test_the_hint_keeps_the_contract_of_all_terms():
    student, teacher = tiny.model(), tiny.model(layers=4, width=24, seed=1)
    match = matched(FitNet(), student, teacher)
    models = (student, teacher)
    plain = hints(models, match)
    assert torch.equal(plain, hints(models, match))
    assert hints(models, match, extra=4).item() == pytest.approx(plain.item(), rel=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        rough = hints(models, match)
    assert rough.dtype == torch.float32
    assert rough.item() == pytest.approx(plain.item(), rel=0.1)
    other = hints((student, tiny.model(layers=4, width=24, seed=2)), match)
    difference = gradient(plain, student) - gradient(other, student)
    assert difference.norm() > 1e-3 * gradient(plain, student).norm() > 0
    plain.backward()
    assert match.projections["2"].weight.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_a_student_that_is_its_teacher_has_nothing_to_learn_from_hints():
    student = tiny.model()
    assert gradient(hints((student, tiny.model())), student).norm() == 0


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> PreparedSweep:
    distillation = {"method": "fitnet", "alpha": None}
    return prepare(tiny_config(tmp_path_factory.mktemp("space"), distillation=distillation))


def trial(epochs: int, **options: Any) -> TrialConfig:
    sections = {
        "student": {"layers": 1},
        "pruning": {"method": "none"},
        "distillation": {"method": "fitnet", **options},
        "training": {"epochs": epochs, "precision": "float32"},
    }
    return trial_config(sections, Evaluation(), "macro_f1")


@pytest.fixture
def falling_quality(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets every epoch look worse than the one before."""
    values = iter(np.linspace(0.9, 0.1, 20))
    measure = pupils.quality

    def quality(*arguments: Any) -> Mapping[str, float]:
        return {**measure(*arguments), "macro_f1": float(next(values))}

    monkeypatch.setattr(pupils, "quality", quality)


@pytest.mark.parametrize(
    ("epochs", "options", "hinting"),
    [
        (4, {}, [1]),
        (4, {"hint_epochs": 0.5}, [1, 2]),
        (3, {"hint_epochs": 0.5}, [1]),
        (4, {"hint_epochs": 0.1}, []),
        (3, {"hint_epochs": 0.99}, [1, 2]),
    ],
)
@pytest.mark.usefixtures("falling_quality")
def test_no_epoch_that_ends_with_hints_is_selected_or_judged(
    sweep: PreparedSweep, epochs: int, options: dict[str, Any], hinting: list[int]
) -> None:
    finished = run_trial(trial(epochs, **options), sweep)
    assert [report.epoch for report in finished.epochs if report.rising] == hinting
    assert {report.before for report in finished.epochs} == {len(hinting)}
    assert finished.selected_epoch == len(hinting) + 1


def test_the_reports_say_what_was_learned_in_each_stage(sweep: PreparedSweep) -> None:
    first, second, third, _ = run_trial(trial(4), sweep).epochs
    assert first.training["loss_share_hint"] == first.training["gradient_share_hint"] == 1.0
    assert "loss_share_soft" not in first.training
    assert "loss_share_hint" not in third.training
    assert second.training["loss_share_soft"] > 0


def test_a_single_epoch_has_both_stages_and_is_selected(sweep: PreparedSweep) -> None:
    finished = run_trial(trial(1), sweep)
    (report,) = finished.epochs
    assert not report.rising
    assert finished.selected_epoch == 1
    assert {"loss_share_hint", "loss_share_hard", "loss_share_soft"} <= report.training.keys()
