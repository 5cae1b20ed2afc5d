"""Every method in whole trials: what it needs is prepared, and it goes on where it was cut off."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdray.config.sections import Evaluation
from kdray.distillation.base import Teaching
from kdray.distillation.table import DISTILLATION
from kdray.preparation import PreparedSweep, prepare
from kdray.results.records import TEACHER_EXAMPLES
from kdray.schema import TrialConfig, trial_config
from kdray.training.course import Checkpoints
from kdray.trial import Finished, run_trial
from tests.test_resumed_trial import assert_same, cut_off
from tests.tiny_sweep import tiny_config

TEACHING = [name for name, method in DISTILLATION.items() if issubclass(method, Teaching)]
NARROW = {"layers": 1, "hidden_size": 8, "heads": 2, "intermediate_size": 16}
every_method = pytest.mark.parametrize("method", TEACHING)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> PreparedSweep:
    student = {"initial": "scratch", "layers": None, "architecture": NARROW}
    distillation = {"method": {"choice": TEACHING}}
    config = tiny_config(
        tmp_path_factory.mktemp("space"),
        data={"train_rows": 96},
        student=student,
        distillation=distillation,
    )
    return prepare(config)


@pytest.fixture(scope="module")
def whole(sweep: PreparedSweep) -> Callable[[str], Finished]:
    """One trial of a method that nothing happened to."""
    return cache(lambda method: run_trial(trial(method), sweep))


def trial(method: str, precision: str = "float32") -> TrialConfig:
    sections: dict[str, Any] = {
        "student": {"initial": "scratch", "architecture": NARROW},
        "pruning": {"method": "none"},
        "distillation": {"method": method},
        "training": {"epochs": 3, "precision": precision},
    }
    return trial_config(sections, Evaluation(), "macro_f1")


@every_method
def test_a_trial_that_was_cut_off_ends_as_if_it_had_not_been(
    sweep: PreparedSweep, whole: Callable[[str], Finished], tmp_path: Path, method: str
) -> None:
    config, place = trial(method), Checkpoints(tmp_path / "state", 0.0)
    cut_off(config, sweep, place, 2)
    assert_same(whole(method), run_trial(config, sweep, checkpoints=place))


@every_method
def test_a_trial_in_bfloat16_learns_nearly_as_in_float32(
    sweep: PreparedSweep, whole: Callable[[str], Finished], method: str
) -> None:
    both = (run_trial(trial(method, "bfloat16"), sweep), whole(method))
    losses = [[report.training["loss"] for report in found.epochs] for found in both]
    assert np.allclose(*losses, rtol=0.1)


@every_method
def test_all_that_is_needed_of_the_teacher_is_kept_and_it_is_not_run_again(
    whole: Callable[[str], Finished], method: str
) -> None:
    assert not any(TEACHER_EXAMPLES in report.training for report in whole(method).epochs)


@every_method
def test_every_term_has_a_share_in_the_loss_and_in_the_gradient(
    whole: Callable[[str], Finished], method: str
) -> None:
    last = whole(method).epochs[-1].training
    shares = {name: share for name, share in last.items() if "_share_" in name}
    assert {"loss_share_hard", "gradient_share_soft"} <= shares.keys()
    assert all(0 < share < 1 for share in shares.values())
