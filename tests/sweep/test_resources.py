import pytest

from kdray.config.sections import Resources
from kdray.errors import ConfigError
from kdray.sweep.resources import Slot, choose_slot, growing


def test_without_gpus_every_core_is_a_slot() -> None:
    slot = choose_slot(Resources(), [{"CPU": 8.0}])
    assert (slot.cpus, slot.gpus, slot.concurrent, slot.threads) == (1.0, 0.0, 8, 1)


def test_with_gpus_every_gpu_is_a_slot_and_the_cores_are_shared_out() -> None:
    slot = choose_slot(Resources(), [{"CPU": 16.0, "GPU": 4.0}])
    assert (slot.cpus, slot.gpus, slot.concurrent, slot.threads) == (4.0, 1.0, 4, 4)


def test_two_trials_may_share_a_gpu() -> None:
    slot = choose_slot(Resources(gpus_per_trial=0.5), [{"CPU": 8.0, "GPU": 2.0}])
    assert (slot.cpus, slot.gpus, slot.concurrent) == (2.0, 0.5, 4)


def test_fewer_trials_side_by_side_may_be_asked_for() -> None:
    assert choose_slot(Resources(max_concurrent_trials=2), [{"CPU": 8.0}]).concurrent == 2


def test_more_than_a_node_has_is_refused_with_what_there_is() -> None:
    with pytest.raises(ConfigError) as caught:
        choose_slot(Resources(cpus_per_trial=4, gpus_per_trial=1), [{"CPU": 2.0}])
    message = str(caught.value)
    assert "resources.cpus_per_trial: must be at most the 2 CPU cores that a node has" in message
    assert "resources.gpus_per_trial: must be at most the 0 GPUs that a node has" in message


def test_a_trial_never_asks_for_the_cores_of_two_nodes() -> None:
    nodes = [{"CPU": 2.0}, {"CPU": 3.0}]
    assert choose_slot(Resources(cpus_per_trial=2), nodes).concurrent == 2
    with pytest.raises(ConfigError, match="at most the 3 CPU cores that a node has, but got 4"):
        choose_slot(Resources(cpus_per_trial=4), nodes)


def test_cores_and_gpus_must_be_on_one_node() -> None:
    nodes = [{"CPU": 16.0}, {"CPU": 2.0, "GPU": 1.0}]
    with pytest.raises(ConfigError) as caught:
        choose_slot(Resources(cpus_per_trial=8, gpus_per_trial=1), nodes)
    assert "no node has 8 CPU cores and 1 GPUs together" in str(caught.value)
    assert "16 cores, 0 GPUs; 2 cores, 1 GPUs" in str(caught.value)


def test_the_cores_of_nodes_of_different_kinds_are_shared_out_as_the_poorest_has_them() -> None:
    nodes = [{"CPU": 0.0}, {"CPU": 64.0}, {"CPU": 16.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 2.0}]
    slot = choose_slot(Resources(), nodes)
    assert (slot.cpus, slot.gpus, slot.concurrent) == (4.0, 1.0, 4)


def test_a_head_without_cores_takes_no_trial() -> None:
    slot = choose_slot(Resources(), [{"CPU": 0.0}, {"CPU": 4.0}])
    assert (slot.cpus, slot.concurrent) == (1.0, 4)


def test_a_trial_does_not_use_parts_of_two_gpus() -> None:
    slot = choose_slot(Resources(gpus_per_trial=0.4), [{"CPU": 8.0, "GPU": 2.0}])
    assert (slot.gpus, slot.concurrent) == (0.4, 4)


def test_more_than_one_gpu_is_a_whole_number_of_them() -> None:
    with pytest.raises(ValueError, match="whole number"):
        Resources(gpus_per_trial=1.5)


def test_on_a_cluster_that_is_joined_what_was_asked_for_is_a_limit_to_growth() -> None:
    small = [{"CPU": 1.0}]
    asked = Resources(max_concurrent_trials=8)
    assert growing(choose_slot(asked, small), asked) == Slot(1.0, 0.0, 1, True, 8)
    assert growing(choose_slot(Resources(), small), Resources()) == Slot(1.0, 0.0, 1, True, None)
