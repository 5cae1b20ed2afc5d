"""How long to search: a time, or a number of trials."""

import os
import re
from dataclasses import dataclass

from kdray.errors import ConfigError, Problem
from kdray.schema import SweepConfig

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PART = r"(\d+(?:\.\d+)?)\s*([smhd])[a-z]*\s*"
# With fewer a sampler has learnt next to nothing; with more it is slower than the trials.
FEWEST, MOST = 8, 200


@dataclass(frozen=True)
class Budget:
    """How long to search.

    Attributes:
        trials: Trials, if no time is given.
        seconds: The time; None: as long as the trials take.
    """

    trials: int
    seconds: int | None = None


def parsed_budget(text: str, trials: int) -> Budget:
    """Returns what "2h", "1h30m", "90 min", "40 trials" or "40" mean.

    Args:
        text: What the user says; empty: nothing.
        trials: How many where nothing is said of them.

    Raises:
        ConfigError: If it is neither a time nor a number of trials.
    """
    wanted = text.strip().lower()
    count = re.fullmatch(r"(\d+)(?:\s*trials?)?", wanted)
    if not wanted or (count and int(count[1])):
        return Budget(int(count[1]) if count else trials)
    parts = re.findall(_PART, wanted)
    seconds = round(sum(float(number) * SECONDS[unit] for number, unit in parts))
    if not re.fullmatch(f"(?:{_PART})+", wanted) or not seconds:
        rule = "must be a time or a number of trials, such as 2h, 90m or '40 trials'"
        raise ConfigError([Problem("--budget", f"{rule}, but got {text!r}")])
    return Budget(trials, seconds)


def measured(config: SweepConfig, seconds: int) -> tuple[int, str]:
    """Returns how many trials fit into a time on this machine, and how that was found.

    Raises:
        ConfigError: If the teacher cannot be loaded, or a method fails on a tiny batch.
    """
    import torch

    from kdray.validate import about, validated

    cost = validated(config, lambda sizes: None, lambda tried: None).cost
    gpus, cores = torch.cuda.device_count(), os.cpu_count() or 1
    slots, kind = (gpus, "GPU") if gpus else (cores, "core")
    fit = int(seconds * slots / max(cost.trial_s, 1e-3))
    trials = max(FEWEST, min(MOST, fit))
    words = (
        f"A trial takes {about(cost.trial_s)} (measured on a tiny batch), so about {fit:,} "
        f"fit into the time on {slots} {kind}{'s' * (slots > 1)} of this machine; the teacher "
        "comes before. No trial begins after it."
    )
    return trials, words
