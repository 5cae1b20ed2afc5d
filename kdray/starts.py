"""What the students of a sweep may start from besides its teacher."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kdray.data.base import Labels
from kdray.data.dataset import Dataset
from kdray.errors import ConfigError, Problem
from kdray.family_checks import start_problems
from kdray.models.building import config_of
from kdray.models.starts import Start, read_starts
from kdray.models.stored import load_start
from kdray.pruning_checks import valid_sections
from kdray.reading import Data
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig, checked_sections
from kdray.space_checks import comparing, sample_sections

FOLDER, KEY = "starts", "student.initial"
WORDS = ("teacher_layers", "scratch")


def load_starts(config: SweepConfig, labels: Labels, tokenizer: Any) -> dict[str, Start]:
    """Returns every hub id or folder that a student may start from, loaded.

    Args:
        config: The sweep.
        labels: What is predicted.
        tokenizer: The teacher's.

    Raises:
        ConfigError: If one cannot be loaded, or something that can be drawn does not fit it.
    """
    starts = {name: load_one(name, labels, tokenizer) for name in _drawable(config)}
    problems = [p for name, one in starts.items() for p in start_problems(config, name, one.state)]
    problems += _token_problems(config, starts)
    if problems:
        raise ConfigError(problems)
    return starts


def load_one(name: str, labels: Labels, tokenizer: Any) -> Start:
    """Returns one of them, loaded, with its tokenizer where that is not the teacher's.

    Raises:
        ConfigError: If it cannot be loaded.
    """
    start, words = load_start(name, KEY, labels)
    return start if words.get_vocab() == tokenizer.get_vocab() else replace(start, tokenizer=words)


def _token_problems(config: SweepConfig, starts: Mapping[str, Start]) -> list[Problem]:
    """Returns a problem for each start whose tokens would be compared with the teacher's."""
    names = " and ".join(comparing(valid_sections(config.space)))
    return [
        Problem(
            "distillation.method",
            f"{names} cannot be drawn together with {KEY} {name!r}: it has another tokenizer than "
            f"the teacher, and {names} would compare token with token; choose logit, or start from "
            "a model with the teacher's tokenizer",
        )
        for name, start in starts.items()
        if names and start.tokenizer is not None
    ]


def encoded_by_own(
    starts: Mapping[str, Start], data: Data, max_length: int
) -> dict[str, dict[str, Dataset]]:
    """Returns the splits as each start has them that has a tokenizer of its own, by its name."""
    return {
        name: data.encoded(start.tokenizer, max_length)
        for name, start in starts.items()
        if start.tokenizer is not None
    }


def configs_of(starts: Mapping[str, Start]) -> dict[str, Any]:
    """Returns the transformers configuration of each start."""
    return {name: config_of(start.state) for name, start in starts.items()}


def stored_starts(
    config: SweepConfig, folder: SweepFolder, labels: Labels, tokenizer: Any
) -> dict[str, Start]:
    """Returns what `load_starts` returned, from the sweep's folder if it is there."""
    found = read_starts(folder.teacher / FOLDER)
    # Of a folder that is gone since the space does not know any more that it was one.
    placed = {
        name: found.get(name) or found.get(str(config.base / name)) for name in _drawable(config)
    }
    return {name: start or load_one(name, labels, tokenizer) for name, start in placed.items()}


def _drawable(config: SweepConfig) -> list[str]:
    """Returns the hub ids and folders that a student may start from."""
    drawn = (checked_sections(sections)[0] for sections in sample_sections(config.space))
    names = dict.fromkeys(sections["student"].initial for sections in drawn)
    return [name for name in names if name not in WORDS]
