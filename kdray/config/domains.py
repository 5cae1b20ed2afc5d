"""Domains: what may stand in place of a value in a searchable section.

A domain is a mapping with one key, named and bounded as in Ray Tune, so the upper bound of
`randint` and `lograndint` is excluded and that of the others included.
https://docs.ray.io/en/latest/tune/api/search_space.html
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kdray.errors import Problem

_BROKEN = object()
ALL_INTEGERS = 64
DOMAIN_NAMES = ("choice", "uniform", "loguniform", "quniform", "randint", "lograndint")


@dataclass(frozen=True)
class Choice:
    """One of several options, which may be mappings with domains inside."""

    options: tuple[Any, ...]

    @property
    def labels(self) -> tuple[Any, ...]:
        """What a sampler sees: a scalar as it is, a short name for anything else; all different."""
        labels: list[Any] = []
        for option in self.options:
            label = option if is_scalar(option) else option_label(option)
            again = sum(other == label for other in labels)
            labels.append(label if not again else f"{label}#{again + 1}")
        return tuple(labels)

    def option(self, label: Any) -> Any:
        """Returns the option of a label."""
        return self.options[self.labels.index(label)]


@dataclass(frozen=True)
class Range:
    """A number between two bounds, both included.

    Attributes:
        low: Smallest value.
        high: Largest value.
        step: Distance of neighbouring values, None for a continuous range.
        log: Whether the logarithm is drawn uniformly.
        integer: Whether the value is an integer.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False
    integer: bool = False


Domain = Choice | Range


class DomainError(ValueError):
    """A mapping that looks like a domain but is none."""


def parse_tree(value: Any, path: str = "", problems: list[Problem] | None = None) -> Any:
    """Returns `value` with every domain mapping in it replaced by a `Choice` or a `Range`.

    Args:
        value: Plain YAML values.
        path: The dotted key of `value`.
        problems: Takes a problem for every domain whose argument breaks its rule; such a domain
            is left out of the result.
    """
    if isinstance(value, Mapping):
        if len(value) == 1 and next(iter(value)) in DOMAIN_NAMES:
            return _parse_domain(*next(iter(value.items())), path, problems)
        tree = {key: parse_tree(item, f"{path}.{key}", problems) for key, item in value.items()}
        return {key: item for key, item in tree.items() if item is not _BROKEN}
    if isinstance(value, list):
        return [parse_tree(item, f"{path}.{index}", problems) for index, item in enumerate(value)]
    return value


def domains_in(tree: Any, path: str = "") -> Iterator[tuple[str, Domain]]:
    """Yields the dotted name and the domain of every domain in a parsed tree."""
    if isinstance(tree, Choice):
        yield path, tree
        for option in tree.options:
            yield from domains_in(option, path)
    elif isinstance(tree, Range):
        yield path, tree
    elif isinstance(tree, Mapping):
        for key, item in tree.items():
            yield from domains_in(item, f"{path}.{key}" if path else str(key))
    elif isinstance(tree, list):
        for index, item in enumerate(tree):
            yield from domains_in(item, f"{path}.{index}")


def samples(tree: Any) -> list[Any]:
    """Returns plain values that together touch every option, bound and short integer range.

    The first has the first sample everywhere; each other one differs from it in one place. So a
    rule that holds for each value by itself holds for all that can be drawn.
    """
    if isinstance(tree, Choice):
        return [sample for option in tree.options for sample in samples(option)]
    if isinstance(tree, Range):
        few = tree.integer and tree.high - tree.low < ALL_INTEGERS
        values = range(int(tree.low), int(tree.high) + 1) if few else (tree.low, tree.high)
        return [_plain(tree, value) for value in values]
    if isinstance(tree, Mapping):
        return [dict(zip(tree, row, strict=True)) for row in _one_at_a_time(list(tree.values()))]
    if isinstance(tree, list):
        return _one_at_a_time(tree)
    return [tree]


def contains(domain: Domain, value: Any) -> bool:
    """Returns whether `value` can be drawn from `domain`."""
    if isinstance(domain, Choice):
        return any(value == label and type(value) is type(label) for label in domain.labels)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if domain.integer and value != int(value):
        return False
    return domain.low <= value <= domain.high


def grid_values(domain: Domain) -> list[Any] | None:
    """Returns all values of a domain, or None if they cannot be counted."""
    if isinstance(domain, Choice):
        return list(domain.labels)
    if domain.step is None or domain.log:
        return None
    count = math.floor((domain.high - domain.low) / domain.step + 1e-9) + 1
    return [_plain(domain, domain.low + index * domain.step) for index in range(count)]


def describe(domain: Domain) -> str:
    """Returns a domain as a person would write it in one line."""
    if isinstance(domain, Choice):
        return "one of " + ", ".join(map(str, domain.labels))
    kind = "logarithmically " if domain.log else ""
    step = f" in steps of {domain.step:g}" if domain.step and not domain.integer else ""
    number = "an integer" if domain.integer else "a number"
    return f"{number} from {domain.low:g} to {domain.high:g}{step}{', ' + kind if kind else ''}"


def is_scalar(value: Any) -> bool:
    """Returns whether a value is one that a sampler can draw as it is."""
    return value is None or isinstance(value, bool | int | float | str)


def option_label(option: Any) -> str:
    """Returns a short name for an option of a choice, also if it is a mapping."""
    if isinstance(option, Mapping):
        named = option.get("method", option.get("name"))
        return named if isinstance(named, str) else ",".join(f"{k}={v}" for k, v in option.items())
    return str(option)


def _parse_domain(name: str, argument: Any, path: str, problems: list[Problem] | None) -> Any:
    try:
        if not isinstance(argument, list) or not argument:
            raise DomainError(f"{name} takes a list, but got {argument!r}")
        if name != "choice":
            return _range(name, _numbers(name, argument))
    except DomainError as error:
        if problems is None:
            raise
        problems.append(Problem(path, str(error)))
        return _BROKEN
    options = [parse_tree(option, path, problems) for option in argument]
    return Choice(tuple(option for option in options if option is not _BROKEN))


def _numbers(name: str, argument: list[Any]) -> list[float]:
    wanted = 3 if name == "quniform" else 2
    numbers = [n for n in argument if isinstance(n, int | float) and not isinstance(n, bool)]
    if len(argument) != wanted or len(numbers) != wanted or not all(map(math.isfinite, numbers)):
        shape = "[low, high, step]" if wanted == 3 else "[low, high]"
        raise DomainError(f"{name} takes {shape}, but got {argument!r}")
    return numbers


def _range(name: str, numbers: list[float]) -> Range:
    low, high = numbers[0], numbers[1]
    log = name.startswith("log")
    integer = name.endswith("randint")
    if integer and any(number != int(number) for number in numbers):
        raise DomainError(f"{name} takes integers, but got {numbers!r}")
    if low >= high:
        raise DomainError(f"{name} needs low < high, but got {numbers!r}")
    if log and low <= 0:
        raise DomainError(f"{name} needs low > 0, but got {numbers!r}")
    if integer:
        return Range(int(low), int(high) - 1, 1, log, True)
    step = numbers[2] if name == "quniform" else None
    if step is not None and not 0 < step <= high - low:
        raise DomainError(f"{name} needs 0 < step <= high - low, but got {numbers!r}")
    return Range(float(low), float(high), step, log)


def _plain(domain: Range, value: float) -> float | int:
    return int(value) if domain.integer else float(value)


def _one_at_a_time(columns: list[Any]) -> list[list[Any]]:
    choices = [samples(column) for column in columns]
    first = [choice[0] for choice in choices]
    rows = [first]
    for index, choice in enumerate(choices):
        rows += [[*first[:index], other, *first[index + 1 :]] for other in choice[1:]]
    return rows
