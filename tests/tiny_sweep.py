"""A search space that is small enough for a test, and real all the same."""

from pathlib import Path
from typing import Any

import yaml

from kdray.config.domains import DOMAIN_NAMES
from kdray.loading import load_sweep_config
from kdray.schema import SweepConfig

TINY: dict[str, Any] = {
    "name": "tiny",
    "data": {"source": "synthetic", "train_rows": 200, "validation_rows": 80, "test_rows": 80},
    "teacher": {
        "architecture": {
            "layers": 2,
            "hidden_size": 16,
            "heads": 2,
            "intermediate_size": 32,
            "vocabulary_size": 400,
        },
        "training": {"epochs": 1},
        "verify": {"minimum": 0.0},
    },
    "student": {"layers": {"choice": [1, 2]}},
    "pruning": {"method": {"choice": ["none", "magnitude"]}, "ratio": {"uniform": [0.5, 0.9]}},
    "distillation": {
        "method": {"choice": ["logit", "multi_level"]},
        "alpha": {"uniform": [0.1, 0.9]},
    },
    "training": {"epochs": 1},
    "search": {"trials": 3},
    "evaluation": {"baselines": False},
}
# For sweeps that could do with one worker, whose start takes most of their time.
ONE_BY_ONE: dict[str, Any] = {"max_concurrent_trials": 1}


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Returns `base` with nested changes; None takes a key away."""
    result = dict(base)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict) and not _domain(value):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def write_space(folder: Path, **changes: Any) -> Path:
    """Writes the tiny space with changes and returns its path."""
    path = folder / "space.yaml"
    path.write_text(yaml.safe_dump(merged(TINY, changes)), encoding="utf-8")
    return path


def tiny_config(folder: Path, *overrides: str, **changes: Any) -> SweepConfig:
    """Returns the tiny space with changes, loaded with `key=value` overrides."""
    return load_sweep_config(write_space(folder, **changes), overrides)


def _domain(value: dict[str, Any]) -> bool:
    return len(value) == 1 and next(iter(value)) in DOMAIN_NAMES
