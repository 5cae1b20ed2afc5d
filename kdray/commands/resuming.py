"""What a sweep goes on with: what it was at last, but for what may change at any time."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kdray.changes import FREE, check_unchanged, free_values, is_free
from kdray.config.loading import read_document, with_overrides
from kdray.config.validation import shown
from kdray.errors import ConfigError, Problem
from kdray.loading import parse_sweep_config
from kdray.locations import past_config, past_document
from kdray.profile import with_profile
from kdray.reporting.reading import read_sweep
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig


@dataclass(frozen=True)
class Asked:
    """What is to be otherwise in a sweep that goes on.

    Attributes:
        assignments: `key=value` of the command line; they win over the profile.
        profile: Where and how it runs (YAML); it wins over the search-space file.
        as_begun: Whether the search-space file is not looked at.
    """

    assignments: Sequence[str] = ()
    profile: Path | None = None
    as_begun: bool = False


def going_on(folder: SweepFolder, asked: Asked) -> SweepConfig:
    """Returns what a sweep goes on with.

    What may change at any time is as it was at last, unless its search-space file says otherwise
    than then, or the profile or the command line does now.

    Raises:
        ConfigError: If the folder holds no sweep, its file has changed in what may not, or what is
            asked for may not change or is wrong.
    """
    _check_free(asked.assignments)
    source = read_sweep(folder).get("source") or {}
    file = None if asked.as_begun else check_unchanged(past_config(folder), source)
    said = {} if file is None else free_values(file)
    document = with_overrides(past_document(folder), _edits(source.get("free", said), said))
    if asked.profile is not None:
        document = with_profile(document, read_document(asked.profile))
    config = parse_sweep_config(with_overrides(document, asked.assignments), begun=True)
    return replace(config, source={"free": said} if said else {})


def changes(before: SweepConfig, now: SweepConfig) -> str:
    """Returns what is not as before, in one line; empty if all is."""
    old, new = free_values(before), free_values(now)
    return ", ".join(
        f"{key} from {shown(old.get(key))} to {shown(value)}"
        for key, value in new.items()
        if value != old.get(key)
    )


def _edits(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Returns the assignments that make of what a file said what it says now."""
    return [f"{key}={json.dumps(value)}" for key, value in now.items() if value != before.get(key)]


def _check_free(assignments: Sequence[str]) -> None:
    """Checks that the command line sets only what may change in a sweep that has begun."""
    keys = [assignment.partition("=")[0] for assignment in assignments if "=" in assignment]
    message = f"may not change in a sweep that has begun, only {', '.join(FREE)} may"
    way_out = "search the new space with `kdray sweep`"
    problems = [Problem(key, f"{message}; {way_out}") for key in keys if not is_free(key)]
    if problems:
        raise ConfigError(problems, "--set")
