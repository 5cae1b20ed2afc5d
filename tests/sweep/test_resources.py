import pytest

from kdray.config.sections import Resources
from kdray.errors import ConfigError
from kdray.sweep.resources import choose_slot


def test_without_gpus_every_core_is_a_slot() -> None:
    slot = choose_slot(Resources(), {"CPU": 8.0})
    assert (slot.cpus, slot.gpus, slot.concurrent, slot.threads) == (1.0, 0.0, 8, 1)


def test_with_gpus_every_gpu_is_a_slot_and_the_cores_are_shared_out() -> None:
    slot = choose_slot(Resources(), {"CPU": 16.0, "GPU": 4.0})
    assert (slot.cpus, slot.gpus, slot.concurrent, slot.threads) == (4.0, 1.0, 4, 4)


def test_two_trials_may_share_a_gpu() -> None:
    slot = choose_slot(Resources(gpus_per_trial=0.5), {"CPU": 8.0, "GPU": 2.0})
    assert (slot.cpus, slot.gpus, slot.concurrent) == (2.0, 0.5, 4)


def test_fewer_trials_side_by_side_may_be_asked_for() -> None:
    assert choose_slot(Resources(max_concurrent_trials=2), {"CPU": 8.0}).concurrent == 2


def test_more_than_there_is_is_refused_with_what_there_is() -> None:
    with pytest.raises(ConfigError) as caught:
        choose_slot(Resources(cpus_per_trial=4, gpus_per_trial=1), {"CPU": 2.0})
    message = str(caught.value)
    assert "resources.cpus_per_trial: must be at most the 2 CPU cores there are" in message
    assert "resources.gpus_per_trial: must be at most the 0 GPUs there are" in message
