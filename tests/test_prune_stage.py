"""Pruning in the course of a real, tiny trial: what is pruned stays so, and more goes in time."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from kdray import pupils
from kdray.config.sections import Evaluation
from kdray.preparation import PreparedSweep, prepare
from kdray.prune_stage import is_rising, stages
from kdray.results.records import EpochReport
from kdray.schema import TrialConfig, trial_config
from kdray.training.course import Checkpoints
from kdray.training.stepper import Stepper
from kdray.trial import Finished, TrialError, run_trial
from tests.tiny_sweep import merged, tiny_config

EPOCHS, STEPS, RATIO = 4, 7, 0.7  # 200 examples are 7 batches
METHODS = ("magnitude", "random", "gradient", "wanda")
SECTIONS: dict[str, Any] = {
    "student": {"layers": 2},
    "pruning": {"method": "magnitude", "ratio": RATIO, "schedule": "cubic"},
    "distillation": {"method": "logit"},
    "training": {"epochs": EPOCHS, "precision": "float32", "learning_rate": 5e-3},
}


@dataclass
class Watch:
    """What every step left behind.

    Attributes:
        shares: Share of the prunable weights that is pruned after each step.
        masks: The masks after the last step.
    """

    shares: list[float] = field(default_factory=list)
    masks: dict[str, Tensor] = field(default_factory=dict)

    def look(self, stepper: Stepper) -> None:
        """Checks that no mask shrinks, and notes what is pruned."""
        for name, mask in stepper.masks.items():
            earlier = self.masks.get(name, mask)
            assert not (mask[earlier == 0] != 0).any(), name
        self.masks = {name: mask.clone() for name, mask in stepper.masks.items()}
        zeros = sum(int((mask == 0).sum()) for mask in self.masks.values())
        self.shares.append(zeros / places(self.masks))


def check_zeros(stepper: Stepper) -> None:
    """Checks that what is pruned is 0 as the model reads it, and wherever else it is kept."""
    for name, mask in stepper.masks.items():
        weight = stepper.model.get_parameter(name)
        for values in (weight, *kept_of(stepper, weight)):
            assert (values[mask == 0] == 0).all(), name


def kept_of(stepper: Stepper, weight: Tensor) -> list[Tensor]:
    """Returns a weight in the optimizer's own format, and its moments."""
    flat = next(flat for flat in stepper.flats if weight in flat)
    state = stepper.optimizer.state[flat.vector]
    vectors = (flat.vector.detach(), state["exp_avg"], state["exp_avg_sq"])
    return [flat.part(vector, weight) for vector in vectors]


def places(masks: Mapping[str, Tensor]) -> int:
    return sum(mask.numel() for mask in masks.values())


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> PreparedSweep:
    return prepare(tiny_config(tmp_path_factory.mktemp("space")))


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Looks at the stepper of a trial before and after each of its steps."""
    watched, step = Watch(), Stepper.step

    def looked_at(stepper: Stepper) -> None:
        check_zeros(stepper)  # what the forward pass has read
        step(stepper)
        check_zeros(stepper)
        watched.look(stepper)

    monkeypatch.setattr(Stepper, "step", looked_at)
    return watched


def trial(**changes: Any) -> TrialConfig:
    return trial_config(merged(SECTIONS, changes), Evaluation(), "macro_f1")


def zeros_of(finished: Finished, masks: Mapping[str, Tensor]) -> int:
    model = finished.student.model
    return sum(int((model.get_parameter(name) == 0).sum()) for name in masks)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("method", METHODS)
def test_rising_masks_hold_after_every_step_and_end_at_the_ratio(
    sweep: PreparedSweep, watch: Watch, method: str, precision: str
) -> None:
    config = trial(pruning={"method": method}, training={"precision": precision})
    finished = run_trial(config, sweep)
    assert len(watch.shares) == EPOCHS * STEPS
    assert watch.shares == sorted(watch.shares)
    # 10 raises fall into the first 14 of 28 steps: before the second of them one is due, and
    # 0.7 · (1 − 0.9³) = 0.1897 have gone after it; before the fourteenth all are.
    rounding = len(watch.masks) / places(watch.masks)
    assert watch.shares[0] == 0
    assert watch.shares[1] == pytest.approx(0.7 * (1 - 0.9**3), abs=rounding)
    assert watch.shares[12] < 0.7 - 1e-5
    assert watch.shares[13:] == [watch.shares[-1]] * 15
    assert watch.shares[-1] == pytest.approx(0.7, abs=rounding)
    assert zeros_of(finished, watch.masks) == watch.shares[-1] * places(watch.masks)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_masks_in_stages_hold_after_every_step(
    sweep: PreparedSweep, watch: Watch, precision: str
) -> None:
    changes = {"epochs": 3, "precision": precision}
    finished = run_trial(trial(pruning={"schedule": {"stages": 3}}, training=changes), sweep)
    by_epoch = np.reshape(watch.shares, (3, STEPS))
    assert by_epoch.min(1) == pytest.approx(by_epoch.max(1))
    assert by_epoch[:, 0] == pytest.approx([0.33, 0.55, 0.70], abs=0.005)
    assert zeros_of(finished, watch.masks) == round(RATIO * places(watch.masks))
    left = [report.metrics["nonzero_parameters"] for report in finished.epochs]
    more = np.diff(by_epoch[:, 0]) * places(watch.masks)
    assert -np.diff(left) == pytest.approx(more, abs=2)


def falling_quality(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets each epoch be worse than the one before."""
    values = iter([0.9, 0.8, 0.7, 0.6])
    quality = pupils.quality
    monkeypatch.setattr(
        pupils, "quality", lambda *given: {**quality(*given), "macro_f1": next(values)}
    )


@pytest.mark.parametrize(
    ("schedule", "rising", "selected"),
    [
        ("one_shot", [False, False, False, False], 1),
        ("cubic", [True, False, False, False], 2),
        ({"stages": 2}, [True, True, False, False], 3),
        ({"stages": 4}, [True, True, True, False], 4),
    ],
)
def test_no_epoch_is_selected_while_sparsity_rises(
    sweep: PreparedSweep,
    monkeypatch: pytest.MonkeyPatch,
    schedule: Any,
    rising: list[bool],
    selected: int,
) -> None:
    falling_quality(monkeypatch)
    finished = run_trial(trial(pruning={"schedule": schedule}), sweep)
    assert [report.rising for report in finished.epochs] == rising
    assert finished.selected_epoch == selected


def test_the_size_in_the_reports_falls_as_masks_rise(sweep: PreparedSweep) -> None:
    finished = run_trial(trial(), sweep)
    left = [report.metrics["nonzero_parameters"] for report in finished.epochs]
    sizes = [report.metrics["size_mb"] for report in finished.epochs]
    assert left[0] > left[1] == left[-1] == finished.metrics["nonzero_parameters"]
    assert sizes[0] > sizes[1]
    assert sizes[-1] == pytest.approx(finished.metrics["size_mb"], rel=0.01)


@pytest.mark.parametrize("method", ["gradient", "wanda"])
def test_a_trial_that_is_cut_off_while_masks_rise_ends_as_if_it_had_not_been(
    sweep: PreparedSweep, tmp_path: Path, method: str
) -> None:
    changes = {"epochs": 5, "precision": "bfloat16"}
    config = trial(pruning={"method": method}, training=changes)
    place = Checkpoints(tmp_path / "state", 0.0)

    def stop(report: EpochReport) -> None:
        if report.epoch == 3:
            raise RuntimeError("the process is gone")

    with pytest.raises(TrialError):
        run_trial(config, sweep, stop, place)
    whole, resumed = run_trial(config, sweep), run_trial(config, sweep, checkpoints=place)
    for split, logits in whole.logits.items():
        assert np.array_equal(logits, resumed.logits[split])
    assert [replace(report, duration_s=0) for report in whole.epochs] == [
        replace(report, duration_s=0) for report in resumed.epochs
    ]


def test_n_m_holds_through_the_training(sweep: PreparedSweep, watch: Watch) -> None:
    sections = {**SECTIONS, "pruning": {"method": "n_m", "n": 1}}
    finished = run_trial(trial_config(sections, Evaluation(), "macro_f1"), sweep)
    assert watch.shares == [0.75] * (EPOCHS * STEPS)
    for name in watch.masks:
        groups = finished.student.model.get_parameter(name).reshape(-1, 4)
        assert ((groups != 0).sum(1) == 1).all()


@pytest.mark.parametrize(
    ("epochs", "count", "starts"),
    [(3, 3, [0, 1, 2]), (4, 3, [0, 1, 2]), (5, 2, [0, 2]), (8, 3, [0, 2, 5]), (4, 4, [0, 1, 2, 3])],
)
def test_stages_divide_the_epochs_by_hand(epochs: int, count: int, starts: list[int]) -> None:
    config = trial(pruning={"schedule": {"stages": count}}, training={"epochs": epochs})
    due = stages(config)
    assert sorted(due) == starts
    assert [stage for epoch in starts for _, stage in due[epoch]] == list(range(1, count + 1))


@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_masks_rise_in_the_first_half_of_the_steps(epochs: int, steps: int) -> None:
    config = trial(training={"epochs": epochs})
    rising = [is_rising(config, epoch, steps) for epoch in range(epochs)]
    half = math.ceil(epochs * steps / 2)
    assert rising == [(epoch + 1) * steps < half for epoch in range(epochs)]
    assert not rising[-1]
