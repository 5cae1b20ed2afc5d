"""How many trials share a node: what is tried, when it is worth it, what is chosen."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
import ray

from kdray.config.sections import Resources
from kdray.data.dataset import learnt_rows
from kdray.preparation import prepare
from kdray.schema import SweepConfig
from kdray.sweep import calibration
from kdray.sweep.calibration import Unit, best_share, measured_slot, shared_unit, shortest_s
from kdray.sweep.preparing import Prepared
from kdray.sweep.resources import Slot
from tests.conftest import Tiny
from tests.tiny_sweep import tiny_config

SLOT = Slot(1.0, 0.0, 2)


@pytest.mark.parametrize(
    ("unit", "shares"),
    [
        (Unit(2, 0, 1), [1, 2]),
        (Unit(6, 0, 1), [1, 2, 4, 6]),
        (Unit(16, 1, 8), [1, 2, 4]),
        (Unit(3, 1, 1), [1, 2, 3]),
    ],
)
def test_a_unit_is_shared_by_powers_of_two_up_to_one_a_core_or_four_a_gpu(
    unit: Unit, shares: list[int]
) -> None:
    assert unit.shares == shares


def test_the_slots_of_all_units_make_the_trials_side_by_side() -> None:
    assert Unit(8, 0, 3).slot(4) == Slot(2, 0.0, 12)
    assert Unit(16, 1, 2).slot(4) == Slot(4, 0.25, 8)


def test_equal_nodes_are_units_and_so_are_their_gpus() -> None:
    assert shared_unit([{"CPU": 8.0}, {"CPU": 8.0}]) == Unit(8, 0, 2)
    assert shared_unit([{"CPU": 8.0, "GPU": 4.0}, {"CPU": 2.0}]) == Unit(2, 1, 4)


@pytest.mark.parametrize("head", [{}, {"CPU": 0.0}, {"CPU": 0.0, "memory": 1e9}])
def test_a_head_without_cores_is_no_node_of_another_kind(head: dict[str, float]) -> None:
    assert shared_unit([head, {"CPU": 8.0}, {"CPU": 8.0}]) == Unit(8, 0, 2)
    assert shared_unit([head, {"CPU": 8.0, "GPU": 1.0}]) == Unit(8, 1, 1)
    assert shared_unit([head]) is None


def test_unequal_nodes_and_single_cores_leave_nothing_to_choose() -> None:
    assert shared_unit([{"CPU": 8.0}, {"CPU": 4.0}]) is None
    assert shared_unit([{"CPU": 1.0}]) is None


def test_more_trials_share_a_unit_only_if_that_brings_five_percent() -> None:
    assert best_share({1: 100.0, 2: 140.0, 4: 150.0}) == 4
    assert best_share({1: 100.0, 2: 140.0, 4: 145.0}) == 2
    assert best_share({1: 100.0, 2: 103.0, 4: 0.0}) == 1


@pytest.mark.parametrize("batches_a_step", [1, 3])
def test_the_shortest_time_counts_twenty_milliseconds_a_batch(
    tmp_path: Path, batches_a_step: int
) -> None:
    training = {"epochs": 3, "gradient_accumulation": batches_a_step}
    config = tiny_config(tmp_path, training=training)
    # 100 examples in batches of 32 are 4 batches; 3 epochs, 10 trials, 2 at a time.
    assert shortest_s(config, 100, 10, SLOT) == pytest.approx(4 * 3 * 10 / 2 * 0.02)


def test_the_shortest_time_counts_the_trainings_of_the_shortest_regime(tmp_path: Path) -> None:
    again = [{"name": "born_again", "generations": count} for count in (4, 3)]
    config = tiny_config(tmp_path, regime={"choice": again})
    assert shortest_s(config, 64, 1, SLOT) == pytest.approx(2 * 3 / 2 * 0.02)
    config = tiny_config(tmp_path, regime={"choice": [*again, "single"]})
    assert shortest_s(config, 64, 1, SLOT) == pytest.approx(2 * 1 / 2 * 0.02)


Free = tuple[SweepConfig, Prepared]


@pytest.fixture(scope="module")
def free(swept: Tiny) -> Free:
    """A sweep that leaves its slots to kdray, prepared."""
    config = replace(swept.config, resources=Resources())
    prepared = prepare(config)
    return config, Prepared(ray.put(prepared), learnt_rows(prepared.splits))


@pytest.mark.ray
def test_a_short_sweep_is_not_measured(free: Free) -> None:
    config, prepared = free
    assert measured_slot(config, SLOT, prepared, 3, pytest.fail) == SLOT


@pytest.mark.ray
def test_what_was_asked_for_is_not_measured(free: Free, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "WORTH_S", 0.0)
    config, prepared = free
    asked = replace(config, resources=Resources(cpus_per_trial=1))
    assert measured_slot(asked, SLOT, prepared, 3, pytest.fail) == SLOT


@pytest.mark.ray
@pytest.mark.slow
def test_a_long_sweep_is_measured_in_workers_and_told(
    free: Free, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "WORTH_S", 0.0)
    monkeypatch.setattr(calibration, "PROBE_S", 0.2)
    lines: list[str] = []
    cores = int(ray.cluster_resources()["CPU"])
    slot = measured_slot(free[0], SLOT, free[1], 3, lines.append)
    assert slot.cpus * slot.concurrent == pytest.approx(cores, abs=slot.cpus - 1)
    assert len(lines) == 1
    assert "(measured)" in lines[0]
    end = time.monotonic() + 20
    while ray.available_resources().get("CPU") != cores and time.monotonic() < end:
        time.sleep(0.1)
    assert ray.available_resources()["CPU"] == cores


@pytest.mark.ray
def test_a_sweep_that_cannot_be_measured_keeps_its_slot_and_says_why(
    free: Free, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> None:
        raise ray.exceptions.ActorDiedError

    monkeypatch.setattr(calibration, "WORTH_S", 0.0)
    monkeypatch.setattr(calibration, "measure", lost)
    lines: list[str] = []
    assert measured_slot(free[0], SLOT, free[1], 3, lines.append) == SLOT
    assert lines[0].startswith("slots: not measured (")


def test_a_training_that_is_drawn_whole_has_its_defaults(tmp_path: Path) -> None:
    training = {"choice": [{"epochs": 2}, {"epochs": 4, "batch_size": 16}]}
    config = tiny_config(tmp_path, training=training)
    assert shortest_s(config, 64, 1, SLOT) == pytest.approx(2 * 2 / 2 * 0.02)
