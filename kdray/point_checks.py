"""Checking `search`: whether its points, its grid and its warm start fit the space."""

from collections.abc import Mapping
from typing import Any

from kdray.config.domains import Domain, contains, describe, domains_in, grid_values, samples
from kdray.config.drawing import draw, flatten
from kdray.config.search import Search
from kdray.config.validation import dotted, nearest, shown
from kdray.errors import Problem
from kdray.schema import options_taken

# The samplers that draw by what earlier trials came to.
LEARNING = ("tpe", "nsga2", "gp")


def search_problems(space: Mapping[str, Any], search: Search | None) -> list[Problem]:
    """Returns what is wrong with grid, points and warm start.

    Args:
        space: The searchable sections, their domains parsed and without problems.
        search: The section, if it is valid.
    """
    if search is None:
        return []
    domains = list(domains_in(space))
    problems = []
    if search.sampler.name == "grid":
        problems += [
            Problem(path, "is continuous, which `sampler: grid` cannot enumerate; use choice")
            for path, domain in domains
            if grid_values(domain) is None
        ]
    if search.warm_start and search.sampler.name not in LEARNING:
        message = f"teaches `sampler: {search.sampler.name}` nothing; take {', '.join(LEARNING)}"
        problems.append(Problem("search.warm_start", message))
    only_points = search.sampler.name == "none"
    if only_points and domains and not search.points:
        problems.append(Problem("search.points", "is required with `sampler: none`"))
    for index, point in enumerate(search.points):
        problems += point_problems(space, point, index, only_points)
    return problems


def point_problems(
    space: Mapping[str, Any], point: Mapping[str, Any], index: int, whole: bool
) -> list[Problem]:
    """Returns what is wrong with one of `search.points`.

    Args:
        space: The searchable sections, their domains parsed and without problems.
        point: Values by dotted name, or nested.
        index: Its place in the list.
        whole: Whether it must give every value, because nothing else draws.
    """
    where = f"search.points.{index}"
    values = flatten(dict(point)) if point else {}
    problems: list[Problem] = []
    used: set[str] = set()

    def choose(name: str, path: str, domain: Domain) -> Any:
        used.add(path)
        if contains(domain, values.get(path, _LEFT_OPEN)):
            return values[path]
        if path in values or whole:
            message = _misfit(domain, values.get(path, _LEFT_OPEN))
            problems.append(Problem(dotted(where, path), message))
        return (grid_values(domain) or samples(domain))[0]

    draw(space, choose, options_taken)
    names = dict.fromkeys(path for path, _ in domains_in(space))
    unused = [path for path in values if path not in used]
    return problems + [Problem(dotted(where, path), _not_drawn(path, names)) for path in unused]


_LEFT_OPEN = object()


def _misfit(domain: Domain, value: Any) -> str:
    if value is _LEFT_OPEN:
        return "is left open, and with `sampler: none` nothing else draws it"
    return f"must be {describe(domain)}, but got {shown(value)}"


def _not_drawn(path: str, names: Mapping[str, None]) -> str:
    if path in names:
        return "is not drawn together with the other values of this point; take it out"
    if not names:
        return "is not drawn: the space holds no domain"
    return f"is no value that is drawn{nearest(path, names)}"
