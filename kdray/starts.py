"""What the students of a sweep may start from besides its teacher."""

from collections.abc import Mapping
from typing import Any

from kdray.data.base import Labels
from kdray.errors import ConfigError, Problem
from kdray.models.building import config_of
from kdray.models.starts import Start, read_starts
from kdray.models.stored import load_start
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig, checked_sections
from kdray.space_checks import sample_sections

FOLDER, KEY = "starts", "student.initial"
WORDS = ("teacher_layers", "scratch")


def load_starts(config: SweepConfig, labels: Labels, tokenizer: Any) -> dict[str, Start]:
    """Returns every hub id or folder that a student may start from, loaded.

    Args:
        config: The sweep.
        labels: What is predicted.
        tokenizer: The teacher's, which students have.

    Raises:
        ConfigError: If one cannot be loaded, or has another tokenizer.
    """
    return {name: checked_start(name, labels, tokenizer) for name in _drawable(config)}


def configs_of(starts: Mapping[str, Start]) -> dict[str, Any]:
    """Returns the transformers configuration of each start."""
    return {name: config_of(start.state) for name, start in starts.items()}


def checked_start(name: str, labels: Labels, tokenizer: Any) -> Start:
    """Returns one of them, loaded.

    Raises:
        ConfigError: If it cannot be loaded, or has another tokenizer.
    """
    start, words = load_start(name, KEY, labels)
    if words.get_vocab() != tokenizer.get_vocab():
        message = f"{name!r} has another tokenizer than the teacher, which students read with"
        raise ConfigError([Problem(KEY, f"{message}; start from one of the teacher's family")])
    return start


def stored_starts(
    config: SweepConfig, folder: SweepFolder, labels: Labels, tokenizer: Any
) -> dict[str, Start]:
    """Returns what `load_starts` returned, from the sweep's folder if it is there."""
    found = read_starts(folder.teacher / FOLDER)
    # Of a folder that is gone since the space does not know any more that it was one.
    placed = {
        name: found.get(name) or found.get(str(config.base / name)) for name in _drawable(config)
    }
    return {name: start or checked_start(name, labels, tokenizer) for name, start in placed.items()}


def _drawable(config: SweepConfig) -> list[str]:
    """Returns the hub ids and folders that a student may start from."""
    drawn = (checked_sections(sections)[0] for sections in sample_sections(config.space))
    names = dict.fromkeys(sections["student"].initial for sections in drawn)
    return [name for name in names if name not in WORDS]
