"""Whether a search-space file still says what a sweep began with."""

import json
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from kdray.config.drawing import flatten
from kdray.config.loading import Document
from kdray.config.validation import shown, within
from kdray.errors import ConfigError, Problem
from kdray.loading import load_sweep_config, parse_sweep_config
from kdray.schema import SweepConfig

# Where and how long a sweep runs may change at any time; what is searched or measured may not.
FREE = (
    "resources",
    "tracking",
    "search.trials",
    "search.time_budget_s",
    "search.trial_timeout_s",
    "search.max_failures",
    "search.checkpoint_interval_s",
    "search.keep",
    "teacher.cache",
)
# A sweep keeps the name that its folder has.
PASSED_OVER = ("name",)
PLACES = {
    "data": ("train", "validation", "test", "unlabeled"),
    "teacher": ("model",),
    "evaluation": ("out_of_domain",),
}
_GONE = object()


def check_unchanged(begun: SweepConfig, source: Mapping[str, Any]) -> SweepConfig | None:
    """Checks that a sweep's file, if it is still there, holds the search space it was begun with.

    Args:
        begun: What the sweep was begun with.
        source: Its `path`, `overrides` and `profile`; empty if unknown.

    Returns:
        What the file says now, with the profile and the overrides that the sweep was begun with;
        None if the file or the profile is gone.

    Raises:
        ConfigError: With every difference.
    """
    if not source or not Path(source["path"]).is_file():
        return None
    profile = source["profile"]
    there = profile if profile and Path(profile).is_file() else None
    with _in_folder(source.get("cwd")):
        now = load_sweep_config(source["path"], source["overrides"], there, begun=True)
    problems = differences(begun.content, now.content)
    if problems:
        way_out = (
            "put it back; or search the new space with `kdray sweep`; or go on with the old one "
            "with `kdray resume … --as-begun`"
        )
        head = f"{source['path']} has changed since the sweep began ({way_out}), and"
        raise ConfigError(problems, head)
    return now if there == profile else None


def free_values(config: SweepConfig) -> dict[str, Any]:
    """Returns what may change at any time, by dotted key."""
    return {key: value for key, value in _leaves(config.content).items() if is_free(key)}


def is_free(key: str) -> bool:
    """Returns whether what stands at a dotted key, and below it, may change at any time."""
    return any(within(key, free) for free in FREE)


@contextmanager
def _in_folder(folder: str | None) -> Iterator[None]:
    """Reads relative paths of `--set` as they were meant when the sweep began."""
    with chdir(folder) if folder and Path(folder).is_dir() else nullcontext():
        yield


def study_differences(began: Mapping[str, Any], config: SweepConfig) -> list[Problem]:
    """Returns how a sweep differs from what its study was begun with.

    Options that are new in this version of kdray have their defaults in both. Where files lie may
    differ: a sweep may have been moved, or fetched from a cluster.
    """
    placed = dict(began)
    for section, keys in PLACES.items():
        own, there = placed.get(section) or {}, config.content[section]
        placed[section] = {**own, **{key: there[key] for key in keys if key in there}}
    document = Document(placed, {}, "the study", config.base)
    return differences(parse_sweep_config(document, begun=True).content, config.content)


def differences(begun: Mapping[str, Any], now: Mapping[str, Any]) -> list[Problem]:
    """Returns what is not the same in two search spaces, by dotted key."""
    before, after = (_leaves(content) for content in (begun, now))
    return [
        Problem(key, f"began with {_told(before, key)}, but is {_told(after, key)} now")
        for key in {**before, **after}
        if before.get(key, _GONE) != after.get(key, _GONE)
        and not is_free(key)
        and key not in PASSED_OVER
    ]


def _leaves(content: Mapping[str, Any]) -> dict[str, Any]:
    return flatten(json.loads(json.dumps(dict(content), default=str)))


def _told(leaves: Mapping[str, Any], key: str) -> str:
    return shown(leaves[key]) if key in leaves else "nothing"
