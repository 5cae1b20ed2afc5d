"""Early stopping in real, tiny trials: when it ends them, and who is told what.

With so low a learning rate no weight changes, so no epoch is better than the first that counts.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdray import pupils
from kdray.config.search import ParetoAsha
from kdray.config.sections import Evaluation
from kdray.distillation.base import Match
from kdray.preparation import PreparedSweep, prepare
from kdray.results.folder import SweepFolder
from kdray.results.records import EpochReport
from kdray.schema import TrialConfig, trial_config
from kdray.sweep.failures import failure_of
from kdray.sweep.schedulers import pareto_asha
from kdray.sweep.schedulers.history import Criteria
from kdray.sweep.schedulers.rivals import Rivals
from kdray.sweep.schedulers.standings import Standings
from kdray.training.course import Checkpoints
from kdray.trial import run_trial
from kdray.trial_folder import TrialSetup, store_finished
from tests.test_resumed_trial import assert_same, cut_off
from tests.tiny_sweep import merged, tiny_config

EPOCHS = 6
SECTIONS: dict[str, Any] = {
    "student": {"layers": 1},
    "pruning": {"method": "none"},
    "distillation": {"method": "logit"},
    "training": {
        "epochs": EPOCHS,
        "precision": "float32",
        "learning_rate": 1e-12,
        "early_stopping": {"patience": 1},
    },
}
CUBIC = {"method": "magnitude", "ratio": 0.5, "schedule": "cubic"}
STAGES = {"method": "magnitude", "ratio": 0.5, "schedule": {"stages": 2}}
HINTS = {"method": "fitnet", "hint_epochs": 0.5}
AGAIN = {"regime": {"name": "born_again", "generations": 2}}
ASSISTED = {"regime": {"name": "progressive", "assistants": [{"layers": 1}]}}
MUTUAL = {"regime": {"name": "mutual", "students": 2}}
ONLINE = {"regime": {"name": "online"}}
NARROW = {"layers": 2, "hidden_size": 8, "heads": 2, "intermediate_size": 16}
SMALL = {"student": {"initial": "scratch", "layers": None, "architecture": NARROW}}
WIDTH = {"method": "width", "ratio": 0.3, "schedule": {"stages": 2}}
PROJECTING = ["hidden", "multi_level", "pkd", "fitnet", "relation_graph", "contrastive"]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> PreparedSweep:
    distillation = {"method": {"choice": ["logit", "fitnet"]}}
    return prepare(tiny_config(tmp_path_factory.mktemp("space"), distillation=distillation))


def trial(**changes: Any) -> TrialConfig:
    return trial_config(merged(SECTIONS, changes), Evaluation(), "macro_f1")


@pytest.mark.parametrize(
    ("changes", "selected", "ends"),
    [
        ({}, 1, 2),
        ({"training": {"early_stopping": {"patience": 3}}}, 1, 4),
        ({"training": {"early_stopping": {"patience": 6}}}, 1, EPOCHS),
        ({"training": {"early_stopping": None}}, 1, EPOCHS),
        # Masks rise in the first half of the 42 steps, up to the end of epoch 3.
        ({"pruning": CUBIC}, 3, 4),
        # The second stage is due after epoch 3, and the hints end there.
        ({"pruning": STAGES}, 4, 5),
        ({"distillation": HINTS}, 4, 5),
        (MUTUAL, 1, 2),
        (ONLINE, 1, 2),
    ],
    ids=["1", "3", "6", "none", "cubic", "stages", "hints", "mutual", "online"],
)
def test_a_trial_ends_when_no_epoch_was_better_for_long_enough(
    sweep: PreparedSweep, changes: dict[str, Any], selected: int, ends: int
) -> None:
    finished = run_trial(trial(**changes), sweep)
    assert [report.epoch for report in finished.epochs] == list(range(1, ends + 1))
    assert finished.selected_epoch == selected
    assert [report.rising for report in finished.epochs] == [
        report.epoch < selected for report in finished.epochs
    ]
    # The last report says that it is the last.
    assert [report.epochs for report in finished.epochs] == [EPOCHS] * (ends - 1) + [ends]


@pytest.mark.parametrize("regime", [AGAIN, ASSISTED], ids=["born_again", "progressive"])
def test_a_generation_that_ends_early_is_followed_by_the_next(
    sweep: PreparedSweep, regime: dict[str, Any]
) -> None:
    finished = run_trial(trial(**regime), sweep)
    assert finished.selected_epoch == 3
    assert [report.epoch for report in finished.epochs] == [1, 2, 3, 4]
    assert [report.rising for report in finished.epochs] == [True, True, False, False]
    # The most that can still be: 6 and 6, then 2 and 6; and the last report is the last.
    assert [report.epochs for report in finished.epochs] == [12, 12, 8, 4]
    assert [report.counted for report in finished.epochs] == [-5, -4, 1, 2]
    assert finished.epochs[2].to_count == EPOCHS


def test_hints_of_the_last_generation_are_not_counted(sweep: PreparedSweep) -> None:
    finished = run_trial(trial(distillation=HINTS, **AGAIN), sweep)
    assert [report.epoch for report in finished.epochs if not report.rising] == [9, 10]
    assert [report.counted for report in finished.epochs if not report.rising] == [1, 2]


@pytest.mark.parametrize(
    ("scores", "ends"),
    [
        # The best of the two, not the first, has to be better.
        ([(0.1, 0.2), (0.1, 0.3), (0.1, 0.4), (0.1, 0.4)], 4),
        ([(0.5, 0.2), (0.1, 0.4)], 2),
    ],
)
def test_students_side_by_side_end_together_when_the_best_is_no_better(
    sweep: PreparedSweep,
    monkeypatch: pytest.MonkeyPatch,
    scores: list[tuple[float, float]],
    ends: int,
) -> None:
    values = iter([score for epoch in scores for score in epoch])
    quality = pupils.quality
    monkeypatch.setattr(
        pupils, "quality", lambda *given: {**quality(*given), "macro_f1": next(values)}
    )
    finished = run_trial(trial(**MUTUAL), sweep)
    assert len(finished.epochs) == ends
    assert finished.selected_epoch == ends - 1


@pytest.mark.parametrize("epoch", [2, 3, 4])
@pytest.mark.parametrize("regime", [AGAIN, ASSISTED], ids=["born_again", "progressive"])
def test_a_trial_that_was_cut_off_knows_where_its_generations_ended(
    sweep: PreparedSweep, tmp_path: Path, regime: dict[str, Any], epoch: int
) -> None:
    config, place = trial(**regime), Checkpoints(tmp_path / "state", 0.0)
    whole = run_trial(config, sweep)
    cut_off(config, sweep, place, epoch)
    heard: list[EpochReport] = []
    assert_same(whole, run_trial(config, sweep, heard.append, place))
    assert [report.epoch for report in heard] == list(range(epoch, 5))


def test_the_epochs_that_are_done_are_those_of_a_trial_that_does_all(sweep: PreparedSweep) -> None:
    short = run_trial(trial(), sweep)
    whole = run_trial(trial(training={"early_stopping": None}), sweep)
    for one, other in zip(short.epochs, whole.epochs, strict=False):
        assert replace(one, duration_s=0, epochs=0) == replace(other, duration_s=0, epochs=0)
    for split, logits in short.logits.items():
        assert np.array_equal(logits, whole.logits[split])


@pytest.mark.parametrize("changes", [{}, {"pruning": STAGES}, MUTUAL, ONLINE])
def test_a_trial_that_was_cut_off_ends_where_it_would_have(
    sweep: PreparedSweep, tmp_path: Path, changes: dict[str, Any]
) -> None:
    config, place = trial(**changes), Checkpoints(tmp_path / "state", 0.0)
    whole = run_trial(config, sweep)
    last = len(whole.epochs)
    cut_off(config, sweep, place, epoch=last)
    heard: list[EpochReport] = []
    assert_same(whole, run_trial(config, sweep, heard.append, place))
    assert [(report.epoch, report.epochs) for report in heard] == [(last, last)]


@pytest.mark.parametrize("changes", [{}, {"pruning": STAGES}, MUTUAL, AGAIN])
def test_a_trial_that_had_ended_is_only_evaluated(
    sweep: PreparedSweep,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
) -> None:
    config, place = trial(**changes), Checkpoints(tmp_path / "state", 0.0)
    whole = run_trial(config, sweep, checkpoints=place)
    monkeypatch.setattr(pupils, "predict_logits", None)  # used after each epoch
    assert_same(whole, run_trial(config, sweep, checkpoints=place))


def test_its_result_is_completed_with_the_epochs_that_it_did(
    sweep: PreparedSweep, tmp_path: Path
) -> None:
    finished = run_trial(trial(), sweep)
    store_finished(SweepFolder(tmp_path), TrialSetup("0000", {}, {}, 1), finished, False)
    (result,) = SweepFolder(tmp_path).results()
    assert (result.status, result.epochs, result.selected_epoch) == ("completed", 2, 1)


def test_a_scheduler_neither_stops_it_at_its_end_nor_waits_for_it(sweep: PreparedSweep) -> None:
    criteria = Criteria({"macro_f1": "maximize"}, "macro_f1", {})

    def verdict(*trials: list[EpochReport]) -> str:
        history = {str(number): epochs for number, epochs in enumerate(trials)}
        known = Standings(criteria, history)
        return pareto_asha.judge(Rivals(options, criteria, {}, 9, known), "1")

    ended = list(run_trial(trial(), sweep).epochs)
    better = [
        EpochReport(epoch, EPOCHS, {"macro_f1": 0.99}, {}, 1.0) for epoch in range(1, EPOCHS + 1)
    ]
    options = ParetoAsha(first_rung=2, reduction_factor=2)
    assert verdict(better[:2], ended) == "goes on"
    going_on = [*ended[:1], replace(ended[1], epochs=EPOCHS)]
    assert verdict(better[:2], going_on) == "waits"
    # Of the two that came to a rung at the second epoch one goes on; the other has ended there.
    assert verdict(ended, better[:2]) == "waits"
    assert verdict(going_on, better[:2]) == "goes on"
    # What goes wrong afterwards does so in the evaluation.
    assert failure_of(None, ended[-1], 1.0).stage == "evaluate"
    assert failure_of(None, ended[0], 1.0).stage == "distil"


def matches_of(
    sweep: PreparedSweep, monkeypatch: pytest.MonkeyPatch, **changes: Any
) -> list[Match]:
    """Runs a trial and returns how its students' layers stood to their teachers', by stage."""
    found: list[Match] = []
    made = pupils.distillation_terms

    def noted(*given: Any) -> Any:
        found.append(next(one for one in given if isinstance(one, Match)))
        return made(*given)

    monkeypatch.setattr(pupils, "distillation_terms", noted)
    run_trial(trial(**changes), sweep)
    return found


def agree(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.allclose(mine, its, atol=1e-6) for mine, its in pairs)


@pytest.mark.parametrize("method", PROJECTING)
def test_what_is_learnt_besides_the_student_lasts_through_the_stages(
    sweep: PreparedSweep, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    changes = SMALL | {"pruning": STAGES, "distillation": {"method": method}}
    first, second = matches_of(sweep, monkeypatch, **changes)
    assert len(first.projections) > 0
    assert agree(first.projections, second.projections)


def test_students_side_by_side_each_keep_what_is_their_own(
    sweep: PreparedSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = {"method": "contrastive", "negatives": 0}
    changes = SMALL | MUTUAL | {"pruning": STAGES, "distillation": method}
    one, other, later, later_other = matches_of(sweep, monkeypatch, **changes)
    assert agree(one.projections, later.projections)
    assert agree(other.projections, later_other.projections)
    assert not agree(one.projections, other.projections)


def test_a_stage_that_cuts_the_width_draws_anew_what_no_longer_fits(
    sweep: PreparedSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"pruning": WIDTH, "distillation": {"method": "contrastive"}}
    first, second = matches_of(sweep, monkeypatch, **changes)
    assert agree(first.projections["teacher"], second.projections["teacher"])
    assert first.projections["student"].weight.shape == (128, 16)
    assert second.projections["student"].weight.shape == (128, 8)
