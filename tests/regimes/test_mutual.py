from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdray import distil_stage
from kdray.distillation.base import Match
from kdray.distillation.logit import Logit
from kdray.distillation.loss import Softening, soft_loss
from kdray.distillation.objective import distillation_terms
from kdray.models.building import freeze
from kdray.models.outputs import Needs
from kdray.preparation import PreparedSweep
from kdray.pruning.base import Prunable
from kdray.regimes import mutual
from kdray.schema import TrialConfig
from kdray.staff import Appoint, Setting
from kdray.teachers import teacher_digest
from kdray.training.course import Checkpoints
from kdray.training.losses import Truth, hard_loss
from kdray.trial import run_trial
from tests import tiny
from tests.distillation.lesson import LENGTHS, batch
from tests.test_resumed_trial import cut_off

Trial = Callable[..., TrialConfig]
REGIME = {"name": "mutual", "students": 3}


@pytest.fixture(params=tiny.KINDS.values(), ids=tiny.KINDS.keys())
def labels(request):
    return request.param


def test_each_student_learns_from_the_labels_and_from_the_mean_loss_to_all_others(labels):
    models = [tiny.model(labels, seed=seed) for seed in range(3)]
    staff = mutual._each_other([tiny.prunable(model, labels) for model in models])
    truth = Truth(labels, torch.from_numpy(tiny.dataset(labels, LENGTHS).targets))
    part, multi_label = batch(labels), labels.kind == "multi_label"
    logits = [model(**part.inputs).logits.detach() for model in models]
    for own, teacher in enumerate(staff.teachers):
        teach = teacher.lessons(Needs())
        method = Logit(alpha=0.4, temperature=2.0)
        found = distillation_terms(method, models[own], Match(), teach, truth)(part, 0.5)
        others = [logits[other] for other in range(3) if other != own]
        soft = sum(
            soft_loss(logits[own], its, Softening(2.0), multi_label) for its in others
        ) / len(others)
        hard = hard_loss(logits[own], part.targets, multi_label)
        assert found["hard"].item() == pytest.approx(0.6 * hard.item(), rel=1e-4)
        assert found["soft"].item() == pytest.approx(0.4 * soft.item(), rel=1e-4)


def test_no_gradient_flows_into_those_who_teach():
    models = [tiny.model(seed=seed) for seed in range(2)]
    staff = mutual._each_other([tiny.prunable(model) for model in models])
    (told,) = staff.teachers[0].lessons(Needs())(batch(tiny.MULTI), 0)
    assert not told.logits.requires_grad


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[list[Prunable]]:
    """The students of each trial; after it, as they are in the end."""
    found: list[list[Prunable]] = []
    distil = mutual.distil

    def watched(students: Sequence[Prunable], setting: Setting, appoint: Appoint) -> Prunable:
        found.append(list(students))
        digests.append([teacher_digest(freeze(student.model)) for student in students])
        return distil(students, setting, appoint)

    digests: list[list[str]] = []
    monkeypatch.setattr(mutual, "distil", watched)
    monkeypatch.setattr(mutual, "begun", digests, raising=False)
    return found


def test_students_begin_from_seeds_of_their_own_and_stay_different(
    sweep: PreparedSweep, trial: Trial, trained: list[list[Prunable]]
) -> None:
    run_trial(trial(regime=REGIME), sweep)
    assert len(set(mutual.begun[0])) == 3  # type: ignore[attr-defined]
    assert len({teacher_digest(freeze(one.model)) for one in trained[0]}) == 3


def test_more_students_give_another_student(sweep: PreparedSweep, trial: Trial) -> None:
    counts = (2, 3)
    found = [
        run_trial(trial(regime={"name": "mutual", "students": k}), sweep).logits["test"]
        for k in counts
    ]
    assert not np.array_equal(*found)


# Of each student after each epoch; the best is the third after the first.
SCORES = {1: [0.1, 0.2, 0.9], 2: [0.3, 0.4, 0.2], 3: [0.5, 0.1, 0.1]}


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[int, int], str]:
    """The weights of each student after each epoch, whose quality is what `SCORES` says."""
    weights: dict[tuple[int, int], str] = {}

    def quality(pupil: Any, setting: Setting) -> dict[str, float]:
        epoch = len(setting.course.epochs) + 1
        place = sum(known == epoch for known, _ in weights) % 3
        weights[epoch, place] = teacher_digest(freeze(pupil.student.model))
        return {"macro_f1": SCORES[epoch][place]}

    monkeypatch.setattr(distil_stage, "quality_of", quality)
    return weights


def test_the_student_is_the_best_of_them_on_validation(
    sweep: PreparedSweep, trial: Trial, scored: dict[tuple[int, int], str]
) -> None:
    finished = run_trial(trial(regime=REGIME, training={"epochs": 3}), sweep)
    assert [one.metrics["macro_f1"] for one in finished.epochs] == [0.9, 0.4, 0.5]
    assert finished.selected_epoch == 1
    assert teacher_digest(freeze(finished.student.model)) == scored[1, 2]


@pytest.mark.parametrize("epoch", [2, 3])
def test_the_best_of_them_is_known_after_a_cut(
    sweep: PreparedSweep,
    trial: Trial,
    scored: dict[tuple[int, int], str],
    tmp_path: Path,
    epoch: int,
) -> None:
    config, place = trial(regime=REGIME, training={"epochs": 3}), Checkpoints(tmp_path / "s", 0.0)
    cut_off(config, sweep, place, epoch)
    first = scored[1, 2]
    scored.clear()
    finished = run_trial(config, sweep, checkpoints=place)
    assert finished.selected_epoch == 1
    assert teacher_digest(freeze(finished.student.model)) == first
