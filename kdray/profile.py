"""Profiles: where and how a sweep runs, never what is searched."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kdray.config.loading import Document
from kdray.config.search import Search
from kdray.config.sections import Resources, Tracking
from kdray.config.validation import Section, checked, nearest, shown
from kdray.errors import ConfigError, Problem

ALLOWED = ("resources", "tracking", "search", "output")
SECTIONS: dict[str, type[Section]] = {
    "resources": Resources,
    "tracking": Tracking,
    "search": Search,
}


def with_profile(space: Document, profile: Document) -> Document:
    """Returns the search space with a profile's settings in place of its own.

    A profile may set `resources`, `tracking`, `search.time_budget_s` and `output`; the last is
    read by the command line (see `profile_output`).

    Raises:
        ConfigError: If it sets anything else, or sets it wrongly.
    """
    problems = [*_forbidden(profile), *_output_problems(profile)]
    forbidden = {problem.where for problem in problems}
    for name, section in SECTIONS.items():
        wrong = checked(section, profile.content.get(name) or {}, name)[1]
        problems += [problem for problem in wrong if problem.where not in forbidden]
    if problems or profile.problems:
        found = [profile.problem(problem.where, problem.message) for problem in problems]
        raise ConfigError([*profile.problems, *found], profile.source)
    for name in SECTIONS:
        space = _merged(space, name, profile.content.get(name) or {})
    return space


def profile_output(profile: Document) -> str | None:
    """Returns the output folder that a profile names.

    Raises:
        ConfigError: If it is no text.
    """
    problems = _output_problems(profile)
    if problems:
        raise ConfigError(problems, profile.source)
    output: str | None = profile.content.get("output")
    return output


def _forbidden(profile: Document) -> list[Problem]:
    search = profile.content.get("search")
    keys = search if isinstance(search, Mapping) else {}
    return [
        Problem(str(key), f"a profile sets only {', '.join(ALLOWED)}{_near(key)}")
        for key in profile.content
        if key not in ALLOWED
    ] + [
        Problem(f"search.{key}", "a profile sets only search.time_budget_s")
        for key in keys
        if key != "time_budget_s"
    ]


def _near(key: object) -> str:
    found = nearest(key, ALLOWED)
    return found if "did you mean" in found else ""


def _output_problems(profile: Document) -> list[Problem]:
    output = profile.content.get("output")
    if output is None or isinstance(output, str):
        return []
    return [profile.problem("output", f"must be a folder, but got {shown(output)}")]


def _merged(space: Document, name: str, settings: Mapping[str, Any]) -> Document:
    own = space.content.get(name)
    if not isinstance(own, Mapping | None):
        return space
    content = {**space.content, name: {**(own or {}), **settings}}
    for key in settings:
        space = replace(space, lines=space.without_lines(f"{name}.{key}"))
    return replace(space, content=content)
