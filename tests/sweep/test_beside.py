"""Runs beside the search, in real Ray processes."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import ray

from kdray.results.folder import SweepFolder
from kdray.results.records import TrialResult
from kdray.sweep import beside
from kdray.sweep.beside import Queue
from kdray.sweep.resources import Slot
from kdray.sweep.trainable import Shared
from kdray.trial_folder import Failure, TrialSetup, load_setup, store_failed
from tests.conftest import Tiny

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]


def test_the_time_of_a_run_counts_from_when_it_has_its_slot(
    swept: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "_stored", _first_hangs)
    folder = SweepFolder(swept.folder.root.with_name("waiting"))
    evaluation = swept.config.evaluation
    shared = Shared(ray.put(None), folder, evaluation, "macro_f1", 1, False, 0.0)
    everything = Slot(cpus=ray.cluster_resources()["CPU"], gpus=0, concurrent=2)
    told: list[TrialResult] = []
    search = swept.config.search.model_copy(update={"trial_timeout_s": 3.0})
    own = load_setup(swept.folder, "0000")
    setups = [
        replace(own, trial_id=f"000{seed}", sections=_seeded(own, seed), threads=1)
        for seed in (0, 1)
    ]
    assert Queue(search, shared, everything, told.append).work_through(setups) == 0
    overdue, waited = sorted(told, key=lambda result: result.trial_id)
    assert overdue.error == "took longer than the 3 s of search.trial_timeout_s"
    assert overdue.duration_s < 6
    assert waited.error == "it had its turn"


def _seeded(setup: TrialSetup, seed: int) -> dict[str, dict[str, object]]:
    return {**setup.sections, "training": {**setup.sections["training"], "seed": seed}}


@ray.remote
def _first_hangs(setup: TrialSetup, shared: Shared) -> Iterator[None]:
    yield
    if setup.trial_id == "0000":
        time.sleep(1000)
    store_failed(shared.folder, setup, Failure("distil", "it had its turn"))
