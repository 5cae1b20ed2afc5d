"""What a sweep was made from, written down so that it can be made again."""

import importlib.metadata
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray
import yaml

from kdray import __version__
from kdray.changes import free_values
from kdray.config.sections import Resources
from kdray.results.folder import SweepFolder, write_text
from kdray.schema import SweepConfig
from kdray.sweep.resources import Slot, alive_nodes, fitting

VERSIONED = ("ray", "optuna", "mlflow", "torch", "transformers", "datasets", "numpy")


def write_provenance(config: SweepConfig, folder: SweepFolder, command: str, slot: Slot) -> None:
    """Writes `sweep.yaml`; in a sweep that goes on only what it is asked for now is new.

    Args:
        config: The sweep.
        folder: Its folder.
        command: The command line.
        slot: What each trial gets.
    """
    resumed = _resumed(config, folder)
    if folder.sweep_yaml.exists():
        content = yaml.safe_load(folder.sweep_yaml.read_text(encoding="utf-8"))
        content["source"] = {**(content.get("source") or {}), **config.source}
        _leave_experiment(content["config"], config, folder)
    else:
        content = _provenance(config, command)
    content |= {"slot": {**asdict(slot), "of": _cluster()}, "config": dict(config.content)}
    content |= {"resumed": resumed} if resumed else {}
    write_text(folder.sweep_yaml, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _resumed(config: SweepConfig, folder: SweepFolder) -> list[int]:
    """Returns how many trials the sweep was given later, each time that it was given others."""
    if not folder.sweep_yaml.exists():
        return []
    content = yaml.safe_load(folder.sweep_yaml.read_text(encoding="utf-8"))
    before, now = (it["search"]["trials"] for it in (content["config"], config.content))
    told = content.get("resumed", [])
    return [*told, now] if now != before else told


def past_slot(folder: SweepFolder, asked: Resources) -> Slot | None:
    """Returns what each trial got before, if the cluster is as large and still has room for it.

    Args:
        folder: The sweep's folder.
        asked: The section `resources`; if it is not that of before, there is no such slot.
    """
    if not folder.sweep_yaml.exists():
        return None
    content = yaml.safe_load(folder.sweep_yaml.read_text(encoding="utf-8"))
    kept = dict(content.get("slot") or {"of": None})
    before = Resources.model_validate(content["config"].get("resources") or {})
    if kept.pop("of") != _cluster() or before != asked:
        return None
    slot = Slot(**kept)
    return slot if fitting(slot.cpus, slot.gpus, alive_nodes()) else None


def _cluster() -> dict[str, float]:
    return {name: float(ray.cluster_resources().get(name, 0.0)) for name in ("CPU", "GPU")}


def _provenance(config: SweepConfig, command: str) -> dict[str, Any]:
    return {
        "command": command,
        "kdray": __version__,
        "git_commit": _git_commit(config.base),
        "versions": {name: importlib.metadata.version(name) for name in VERSIONED},
        "base": str(config.base),
        "source": {**config.source, "free": free_values(config)} if config.source else {},
    }


def _leave_experiment(before: Mapping[str, Any], config: SweepConfig, folder: SweepFolder) -> None:
    """Forgets where a sweep is recorded if that is to be elsewhere: MLflow moves no run."""
    if (before.get("tracking") or {}).get("experiment") != config.tracking.experiment:
        folder.tracking_json.unlink(missing_ok=True)


def _git_commit(folder: Path) -> str | None:
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return found.stdout.strip() or None
