"""What one trial gets: a slot of the cluster's CPU cores and GPUs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from kdray.config.sections import Resources
from kdray.errors import ConfigError, Problem


@dataclass(frozen=True)
class Slot:
    """Resources of one trial.

    Attributes:
        cpus: CPU cores.
        gpus: GPUs, also fractions of one.
        concurrent: Most trials side by side.
    """

    cpus: float
    gpus: float
    concurrent: int

    @property
    def threads(self) -> int:
        """Torch threads of a trial."""
        return max(1, math.floor(self.cpus))


def choose_slot(options: Resources, cluster: Mapping[str, float]) -> Slot:
    """Returns the slot of a trial.

    With GPUs, one each, and the cores shared out among them. Without, one core each: two trials
    with one thread each do more than one trial with two threads.

    Args:
        options: The file's section.
        cluster: Resources of the cluster by Ray's names, `CPU` and `GPU`.

    Raises:
        ConfigError: If a trial asks for more than there is.
    """
    cores, devices = cluster.get("CPU", 1.0), cluster.get("GPU", 0.0)
    asked = options.gpus_per_trial
    gpus = float(devices >= 1) if asked == "auto" else asked
    shared_out = max(1.0, math.floor(cores * gpus / devices)) if gpus and devices else 1.0
    cpus = shared_out if options.cpus_per_trial == "auto" else options.cpus_per_trial
    _check(cpus, gpus, cores, devices)
    fitting = math.floor(cores / cpus + 1e-9)
    if gpus:
        fitting = min(fitting, math.floor(devices / gpus + 1e-9))
    wanted = options.max_concurrent_trials
    return Slot(cpus, gpus, fitting if wanted == "auto" else min(fitting, wanted))


def _check(cpus: float, gpus: float, cores: float, devices: float) -> None:
    asked = {
        "cpus_per_trial": (cpus, cores, "CPU cores"),
        "gpus_per_trial": (gpus, devices, "GPUs"),
    }
    problems = [
        Problem(
            f"resources.{key}", f"must be at most the {there:g} {what} there are, but got {n:g}"
        )
        for key, (n, there, what) in asked.items()
        if n > there
    ]
    if problems:
        raise ConfigError(problems)
