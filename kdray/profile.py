"""Profiles: where and how a sweep runs, never what is searched."""

from typing import Any

from kdray.config.loading import Document
from kdray.config.validation import nearest
from kdray.errors import ConfigError, Problem

ALLOWED = ("resources", "tracking", "search", "output")


def with_profile(space: Document, profile: Document) -> Document:
    """Returns the search space with a profile's settings in place of its own.

    A profile may set `resources`, `tracking`, `search.time_budget_s` and `output`; the last is
    read by the command line (see `profile_output`).

    Raises:
        ConfigError: If it sets anything else.
    """
    problems = [
        profile.problem(key, f"a profile sets only {', '.join(ALLOWED)}{nearest(key, ALLOWED)}")
        for key in profile.content
        if key not in ALLOWED
    ]
    search = profile.content.get("search") or {}
    problems += [
        profile.problem(f"search.{key}", "a profile sets only search.time_budget_s")
        for key in search
        if key != "time_budget_s"
    ]
    if problems:
        raise ConfigError(problems, profile.source)
    content: dict[str, Any] = dict(space.content)
    for key in ("resources", "tracking", "search"):
        content[key] = {**(content.get(key) or {}), **(profile.content.get(key) or {})}
    return Document(content, space.lines, space.source, space.base)


def profile_output(profile: Document) -> str | None:
    """Returns the output folder that a profile names.

    Raises:
        ConfigError: If it is no text.
    """
    output = profile.content.get("output")
    if output is None or isinstance(output, str):
        return output
    raise ConfigError([Problem("output", f"must be a folder, but got {output!r}")], profile.source)
