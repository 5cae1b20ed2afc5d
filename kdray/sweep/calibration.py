"""How many trials share a node's cores or a GPU: measured, where the sweep is long enough to pay.

Whether trials side by side beat one wide trial depends on the model, the batches and the machine.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
import torch

from kdray.data.dataset import subset
from kdray.distillation.base import DistillationMethod, Match
from kdray.distillation.objective import distillation_terms
from kdray.errors import KdrayError
from kdray.evaluation.metrics import selection_metric
from kdray.models.outputs import best_device
from kdray.preparation import PreparedSweep
from kdray.prune_stage import begin_student, prune
from kdray.schema import SweepConfig, TrialConfig, trial_config
from kdray.space_checks import drawable_regimes, drawable_trainings, sample_sections
from kdray.sweep.preparing import Prepared
from kdray.sweep.resources import Slot, alive_nodes
from kdray.training.loop import EpochTraining, train
from kdray.training.losses import Truth
from kdray.training.stepper import Learner
from kdray.waiting import during

PROBE_S, PROBE_BATCHES = 2.0, 8
BATCH_S, WORTH_S, PATIENCE_S = 0.02, 600.0, 60.0
MOST_ON_A_GPU, WORTH_A_NEIGHBOUR = 4, 1.05


@dataclass(frozen=True)
class Unit:
    """What trials share: a node's cores, or a GPU with its part of them.

    Attributes:
        cores: CPU cores of one unit.
        gpus: 1 for a GPU, else 0.
        count: Units in the cluster.
    """

    cores: int
    gpus: int
    count: int

    @property
    def shares(self) -> list[int]:
        """How many trials may share it: 1, 2, 4 … and one a core, or up to 4 on a GPU."""
        most = min(self.cores, MOST_ON_A_GPU) if self.gpus else self.cores
        powers = [2**power for power in range(most.bit_length()) if 2**power <= most]
        return sorted({*powers, most})

    def slot(self, share: int) -> Slot:
        """Returns the slot of each of `share` trials side by side on every unit."""
        return Slot(self.cores // share, self.gpus / share, share * self.count)


def measured_slot(
    config: SweepConfig,
    slot: Slot,
    prepared: Prepared,
    trials: int,
    say: Callable[[str], None],
) -> Slot:
    """Returns the slot with which most examples are trained in a second.

    The slot stays as it is where something of it was asked for, where there is nothing to choose,
    where the sweep is shorter than ten minutes at 20 ms a batch, and where measuring fails.

    Args:
        config: The sweep.
        slot: The slot without measuring.
        prepared: The prepared sweep.
        trials: How many there will be.
        say: Takes a line about what was found.
    """
    unit = shared_unit(alive_nodes())
    asked = any(value != "auto" for value in config.resources.model_dump().values())
    if asked or unit is None:
        return slot
    if shortest_s(config, prepared.examples, trials, slot) < WORTH_S:
        return slot
    try:
        with during("measuring slots"):
            rates = measure(config, unit, prepared.reference)
    except (ray.exceptions.RayError, KdrayError) as error:
        reason = str(error).strip().splitlines()[0]
        say(f"slots: not measured ({reason}); {slot.concurrent} trials side by side")
        return slot
    share = best_share(rates)
    say(_found(unit, share, rates))
    return unit.slot(share)


def _found(unit: Unit, share: int, rates: Mapping[int, float]) -> str:
    where = "a GPU" if unit.gpus else "a node"
    times = f": {rates[share] / rates[1]:.1f} times one wide trial" if rates[1] else ""
    return (
        f"slots: {share} trials side by side on {where}, {unit.cores // share} cores each, train "
        f"{rates[share]:,.0f} examples a second{times} (measured)"
    )


def shared_unit(nodes: Sequence[Mapping[str, float]]) -> Unit | None:
    """Returns what trials share, if it is the same on all nodes that have it; else None.

    Args:
        nodes: Resources of each node, by Ray's names.
    """
    with_cores = [node for node in nodes if node.get("CPU", 0.0) >= 1]
    able = [node for node in with_cores if node.get("GPU", 0.0) >= 1] or with_cores
    found = {(int(node.get("CPU", 0.0)), int(node.get("GPU", 0.0))) for node in able}
    if len(found) != 1:
        return None
    cores, gpus = found.pop()
    units = len(able) * max(1, gpus)
    unit = Unit(cores // max(1, gpus), min(1, gpus), units)
    return unit if unit.cores > 1 else None


def shortest_s(config: SweepConfig, examples: int, trials: int, slot: Slot) -> float:
    """Returns the seconds that the trials take at least: 20 ms a batch, whatever the model.

    A step of several batches takes as much longer; of a regime every training counts.
    """
    batches = min(
        training.epochs * math.ceil(examples / training.batch_size)
        for training in drawable_trainings(config.space)
    )
    batches *= min(regime.trainings for regime in drawable_regimes(config.space))
    return batches * BATCH_S * trials / slot.concurrent


def best_share(rates: Mapping[int, float]) -> int:
    """Returns how many trials share a unit: more only where that brings at least 5 %.

    Fewer side by side leave more memory to each, and the sampler knows more when it draws.

    Args:
        rates: Examples a second of all trials together, by how many share the unit.
    """
    best = 1
    for share in sorted(rates):
        if rates[share] > WORTH_A_NEIGHBOUR * rates[best]:
            best = share
    return best


def measure(config: SweepConfig, unit: Unit, prepared: ray.ObjectRef) -> dict[int, float]:
    """Returns the examples a second of one unit, by how many trials share it.

    The same trial runs in as many workers as may share the unit; what runs out of memory does
    nothing in a second.
    """
    most = unit.shares[-1]
    sections = next(iter(sample_sections(config.space)))
    trial = trial_config(sections, config.evaluation, selection_metric(config.objectives))
    # All on one node, and on one GPU: together they ask for what one unit has.
    group = ray.util.placement_group([{"CPU": unit.cores, **({"GPU": 1} if unit.gpus else {})}])
    strategy = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(group)
    place = {"num_cpus": unit.cores / most, "num_gpus": unit.gpus / most}
    probe = ray.remote(_Probe).options(**place, scheduling_strategy=strategy)
    probes = [probe.remote(prepared, trial) for _ in range(most)]
    try:
        ray.get(group.ready(), timeout=PATIENCE_S)
        ray.get([one.examples_a_second.remote(1, 0.0) for one in probes])
        return {
            share: sum(
                ray.get(
                    [
                        one.examples_a_second.remote(unit.cores // share, PROBE_S)
                        for one in probes[:share]
                    ]
                )
            )
            for share in unit.shares
        }
    finally:
        for one in probes:
            ray.kill(one)
        ray.util.remove_placement_group(group)


class _Probe:
    """A worker that trains one trial's student on a few batches, again and again."""

    def __init__(self, prepared: PreparedSweep, trial: TrialConfig) -> None:
        self._trial, self._labels = trial, prepared.labels
        pruned = prune(begin_student(trial, prepared), trial)
        train_set = pruned.splits["train"]
        wanted = min(len(train_set), PROBE_BATCHES * trial.training.batch_size)
        rows = np.linspace(0, len(train_set) - 1, wanted).astype(np.int64)
        self._few = subset(train_set, np.unique(rows))
        self._learner = Learner(pruned.model.to(best_device()), (), pruned.masks)

    def examples_a_second(self, threads: int, seconds: float) -> float:
        """Trains for some seconds, at least one round; returns 0 if that fails."""
        torch.set_num_threads(max(1, threads))
        start, rounds = time.perf_counter(), 0
        try:
            while not rounds or time.perf_counter() - start < seconds:
                self._round()
                rounds += 1
        except (RuntimeError, KdrayError):
            return 0.0
        return rounds * len(self._few) / (time.perf_counter() - start)

    def _round(self) -> None:
        truth = Truth(self._labels, torch.tensor(self._few.targets))
        labels_only = DistillationMethod(method="none")
        terms = distillation_terms(labels_only, self._learner.model, Match(), _no_teacher, truth)
        once = self._trial.training.model_copy(update={"epochs": 1})
        train(self._learner, self._few, terms, once, _ignore)


def _no_teacher(*_: Any) -> Any:
    raise AssertionError("labels alone ask no teacher")


def _ignore(epoch: EpochTraining) -> None:
    pass
