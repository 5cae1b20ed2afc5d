"""What is known of a sweep's trials when it begins or goes on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdray.results.folder import SweepFolder, write_text, write_trial
from kdray.results.records import TrialResult
from kdray.schema import SweepConfig
from kdray.sweep.schedulers.rivals import rivals_of
from kdray.sweep.storage import begun_sweep
from tests.sweep.mirrors import begun
from tests.tiny_sweep import tiny_config
from tests.training.test_checkpoint import Run

from .test_early_stopping import VERIFICATION
from .trials import reports


def config(root: Path, scheduler: str = "pareto_asha", **changes: Any) -> SweepConfig:
    training = {"epochs": 9}
    return tiny_config(root, search={"scheduler": scheduler}, training=training, **changes)


def prepare(folder: SweepFolder) -> None:
    write_text(folder.verification_json, json.dumps(VERIFICATION))


def test_trials_that_ended_and_those_with_a_checkpoint_are_rivals(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path / "s")
    prepare(folder)
    write_trial(folder, TrialResult("0000", "completed"), reports([0.5, 0.6], 1.0, epochs=2))
    Run(folder.checkpoint("0001")).cut_off(2)
    Run(folder.checkpoint("0002-seed-1")).cut_off(1)  # a confirmation's
    rivals = rivals_of(config(tmp_path), folder, 9)
    assert rivals is not None
    assert {own: len(epochs) for own, epochs in rivals.history.items()} == {"0000": 2, "0001": 2}


def test_who_is_too_large_to_be_feasible_is_no_rival(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path / "s")
    prepare(folder)
    for own_id, size_mb in (("0000", 1.0), ("0001", 3.0)):
        write_trial(folder, TrialResult(own_id, "stopped_early"), reports([0.5], size_mb))
    bounds = {"size_mb": {"maximum": 2.0}}
    rivals = rivals_of(config(tmp_path, "median", constraints=bounds), folder, 9)
    assert rivals is not None
    assert list(rivals.history) == ["0000"]


@pytest.mark.parametrize("scheduler", ["pareto_asha", "median"])
def test_who_was_cut_off_is_known_on_a_machine_where_it_never_ran(
    store: str, elsewhere: Callable[[], None], tmp_path: Path, scheduler: str
) -> None:
    here = begun(store)
    prepare(here)
    Run(here.checkpoint("0001")).cut_off(2)
    here.share(here.teacher, here.checkpoint("0001"))
    elsewhere()
    rivals = rivals_of(config(tmp_path, scheduler), begun_sweep(here.uri), 9)
    assert rivals is not None
    assert list(rivals.history) == ["0001"]
