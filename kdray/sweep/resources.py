"""What one trial gets: a slot of CPU cores and GPUs on one of the cluster's nodes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import ray

from kdray.config.sections import Resources
from kdray.errors import ConfigError, Problem


@dataclass(frozen=True)
class Slot:
    """Resources of one trial.

    Attributes:
        cpus: CPU cores.
        gpus: GPUs, also fractions of one.
        concurrent: Most trials side by side.
        may_grow: Whether more run side by side on nodes that join the cluster.
        most: How many then at most; None for as many as fit.
    """

    cpus: float
    gpus: float
    concurrent: int
    may_grow: bool = False
    most: int | None = None

    @property
    def threads(self) -> int:
        """Torch threads of a trial."""
        return max(1, math.floor(self.cpus))


def alive_nodes() -> list[dict[str, float]]:
    """Returns the resources of every node of the cluster by Ray's names."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def choose_slot(options: Resources, nodes: Sequence[Mapping[str, float]]) -> Slot:
    """Returns the slot of a trial.

    With GPUs, one each, and the cores of each node shared out among its own. Without, one core
    each: two trials with one thread each do more than one trial with two threads.

    Args:
        options: The file's section.
        nodes: Resources of each node by Ray's names, `CPU` and `GPU`.

    Raises:
        ConfigError: If a trial asks for more than any node has.
    """
    asked = options.gpus_per_trial
    gpus = float(any(node.get("GPU", 0.0) >= 1 for node in nodes)) if asked == "auto" else asked
    able = [node for node in nodes if node.get("GPU", 0.0) >= gpus]
    shared_out = min((_share(node, gpus) for node in able if _cores(node)), default=1.0)
    cpus = shared_out if options.cpus_per_trial == "auto" else options.cpus_per_trial
    most = fitting(cpus, gpus, nodes)
    if not most:
        raise ConfigError(_problems(cpus, gpus, nodes))
    wanted = options.max_concurrent_trials
    return Slot(cpus, gpus, most if wanted == "auto" else min(most, wanted))


def growing(slot: Slot, options: Resources) -> Slot:
    """Returns a slot of which there are more as nodes join, up to what the file asks for."""
    wanted = options.max_concurrent_trials
    return replace(slot, may_grow=True, most=None if wanted == "auto" else wanted)


def fitting(cpus: float, gpus: float, nodes: Sequence[Mapping[str, float]]) -> int:
    """Returns how many trials with so many CPU cores and GPUs fit on the nodes side by side."""
    return sum(_fitting_on(node, cpus, gpus) for node in nodes)


def _cores(node: Mapping[str, float]) -> float:
    return node.get("CPU", 0.0)


def _share(node: Mapping[str, float], gpus: float) -> float:
    """Returns the cores of a node that go with so many of its GPUs."""
    return max(1.0, math.floor(_cores(node) * gpus / node["GPU"])) if gpus else 1.0


def _fitting_on(node: Mapping[str, float], cpus: float, gpus: float) -> int:
    """Returns how many trials fit on a node; a trial never uses parts of two GPUs."""
    by_cores = math.floor(_cores(node) / cpus + 1e-9)
    devices = math.floor(node.get("GPU", 0.0))
    if gpus >= 1:
        return min(by_cores, math.floor(devices / gpus + 1e-9))
    return min(by_cores, devices * math.floor(1 / gpus + 1e-9)) if gpus else by_cores


def _problems(cpus: float, gpus: float, nodes: Sequence[Mapping[str, float]]) -> list[Problem]:
    """Returns what no node has, with what the largest has; or that none has both together."""
    asked = {"cpus_per_trial": (cpus, "CPU", "CPU cores"), "gpus_per_trial": (gpus, "GPU", "GPUs")}
    there = {
        name: max((node.get(name, 0.0) for node in nodes), default=0.0) for name in ("CPU", "GPU")
    }
    problems = [
        Problem(
            f"resources.{key}",
            f"must be at most the {there[name]:g} {what} that a node has, but got {count:g}",
        )
        for key, (count, name, what) in asked.items()
        if count > there[name]
    ]
    shown = "; ".join(f"{_cores(node):g} cores, {node.get('GPU', 0.0):g} GPUs" for node in nodes)
    together = f"no node has {cpus:g} CPU cores and {gpus:g} GPUs together; there are: {shown}"
    return problems or [Problem("resources.cpus_per_trial", together)]
