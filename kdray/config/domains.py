"""Domains: what may stand in place of a value in a searchable section.

A domain is a mapping with one key, named and bounded as in Ray Tune, so the upper bound of
`randint` and `lograndint` is excluded and that of the others included.
https://docs.ray.io/en/latest/tune/api/search_space.html
"""

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from kdray.config.validation import dotted
from kdray.errors import Problem

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
            name = label = option if is_scalar(option) else option_label(option)
            count = 1
            while label in labels:
                count += 1
                label = f"{name}#{count}"
            labels.append(label)
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


class _Broken(dict[str, Any]):
    """What stands in place of a domain that breaks its rule: an empty mapping."""


def parse_tree(value: Any, path: str = "", problems: list[Problem] | None = None) -> Any:
    """Returns `value` with every domain mapping in it replaced by a `Choice` or a `Range`.

    Args:
        value: Plain YAML values.
        path: The dotted key of `value`.
        problems: Takes a problem for every domain that breaks its rule; such a domain is left out
            of its mapping, and leaves an empty mapping anywhere else.

    Raises:
        DomainError: If a domain breaks its rule and there are no `problems` to take it.
    """
    try:
        if isinstance(value, Mapping) and _is_domain(value):
            return _parse_domain(*next(iter(value.items())), path, problems)
    except DomainError as error:
        if problems is None:
            raise
        problems.append(Problem(path, str(error)))
        return _Broken()
    if isinstance(value, Mapping):
        tree = {key: parse_tree(item, dotted(path, key), problems) for key, item in value.items()}
        return {key: item for key, item in tree.items() if not isinstance(item, _Broken)}
    if isinstance(value, list):
        return [parse_tree(item, dotted(path, i), problems) for i, item in enumerate(value)]
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
            yield from domains_in(item, dotted(path, key))
    elif isinstance(tree, list):
        for index, item in enumerate(tree):
            yield from domains_in(item, dotted(path, index))


def samples(tree: Any, together: int = 1) -> list[Any]:
    """Returns plain values that together touch every option, bound and short integer range.

    The first has the first sample everywhere; each other one differs from it in one place. So a
    rule that holds for each value by itself holds for all that can be drawn.

    Args:
        tree: Values with domains, as `parse_tree` returns them.
        together: A mapping or list with at most so many combinations gives all of them instead,
            for rules between two values.
    """
    if isinstance(tree, Choice):
        return [sample for option in tree.options for sample in samples(option, together)]
    if isinstance(tree, Range):
        few = tree.integer and tree.high - tree.low < ALL_INTEGERS
        values = range(int(tree.low), int(tree.high) + 1) if few else (tree.low, tree.high)
        return [_plain(tree, value) for value in values]
    if isinstance(tree, Mapping):
        rows = combined([samples(item, together) for item in tree.values()], together)
        return [dict(zip(tree, row, strict=True)) for row in rows]
    if isinstance(tree, list):
        return combined([samples(item, together) for item in tree], together)
    return [tree]


def combined(columns: Sequence[list[Any]], together: int = 1) -> list[list[Any]]:
    """Returns rows that together hold every value of every column; see `samples`."""
    if math.prod(map(len, columns)) <= together:
        return [list(row) for row in product(*columns)]
    first = [column[0] for column in columns]
    rows = [first]
    for index, column in enumerate(columns):
        rows += [[*first[:index], other, *first[index + 1 :]] for other in column[1:]]
    return rows


def contains(domain: Domain, value: Any) -> bool:
    """Returns whether `value` can be drawn from `domain`."""
    if isinstance(domain, Choice):
        return any(_same(value, label) for label in domain.labels)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if not domain.low <= value <= domain.high:
        return False
    steps = (value - domain.low) / domain.step if domain.step else 0.0
    return math.isclose(steps, round(steps), abs_tol=1e-9)


def grid_values(domain: Domain) -> Sequence[Any] | None:
    """Returns all values of a domain, or None if it is continuous."""
    if isinstance(domain, Choice):
        return domain.labels
    if domain.integer:
        return range(int(domain.low), int(domain.high) + 1)
    if domain.step is None:
        return None
    count = round((domain.high - domain.low) / domain.step) + 1
    return [_clean(domain.low + index * domain.step) for index in range(count)]


def describe(domain: Domain) -> str:
    """Returns a domain as a person would write it in one line."""
    if isinstance(domain, Choice):
        return "one of " + ", ".join(map(str, domain.labels))
    log = ", drawn by its logarithm" if domain.log else ""
    step = f" in steps of {domain.step:g}" if domain.step and not domain.integer else ""
    number = "an integer" if domain.integer else "a number"
    return f"{number} from {domain.low:.12g} to {domain.high:.12g}{step}{log}"


def is_scalar(value: Any) -> bool:
    """Returns whether a value is one that a sampler can draw as it is."""
    return value is None or isinstance(value, bool | int | float | str)


def option_label(option: Any) -> str:
    """Returns a short name for an option of a choice, also if it is a mapping or a list."""
    if isinstance(option, Mapping):
        named = option.get("method", option.get("name"))
        if isinstance(named, str):
            return named
        return ",".join(f"{key}={option_label(item)}" for key, item in option.items())
    if isinstance(option, list):
        return "[" + ",".join(map(option_label, option)) + "]"
    return describe(option) if isinstance(option, Choice | Range) else str(option)


def _is_domain(value: Mapping[Any, Any]) -> bool:
    """Returns whether a mapping is meant as a domain.

    Raises:
        DomainError: If it almost is one: a misspelt name, or two keys.
    """
    names = [key for key in value if key in DOMAIN_NAMES]
    if len(value) > 1 and any(isinstance(value[name], list) for name in names):
        keys = ", ".join(map(str, value))
        raise DomainError(f"a domain is a mapping with one key, but got {keys}")
    key, argument = next(iter(value.items()), (None, None))
    if len(value) == 1 and not names and isinstance(argument, list):
        close = difflib.get_close_matches(str(key), DOMAIN_NAMES, n=1, cutoff=0.75)
        if close:
            raise DomainError(f"no such domain: {key!r}; did you mean {close[0]!r}?")
    return len(value) == 1 and bool(names)


def _parse_domain(name: str, argument: Any, path: str, problems: list[Problem] | None) -> Any:
    if name != "choice":
        return _range(name, _numbers(name, argument))
    if not isinstance(argument, list) or not argument:
        raise DomainError(f"choice takes a list of one or more options, but got {argument!r}")
    for index, option in enumerate(argument):
        if any(_same(option, other) for other in argument[:index]):
            raise DomainError(f"choice holds {option!r} twice")
    options = [parse_tree(option, path, problems) for option in argument]
    if any(isinstance(option, _Broken) for option in options):
        return _Broken()
    return Choice(tuple(options))


def _same(one: Any, other: Any) -> bool:
    """Returns whether two values are equal, 1 and 1.0 too, but not 1 and true."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _numbers(name: str, argument: Any) -> list[float]:
    shape = "[low, high, step]" if name == "quniform" else "[low, high]"
    if not isinstance(argument, list) or len(argument) != shape.count(",") + 1:
        raise DomainError(f"{name} takes {shape}, but got {argument!r}")
    for number in argument:
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise DomainError(f"{name} takes {shape} as numbers, but got {argument!r}")
        if not abs(number) < math.inf:
            raise DomainError(f"{name} takes finite numbers, but got {argument!r}")
    return argument


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
    if name == "quniform":
        return _stepped(low, high, numbers[2])
    return Range(float(low), float(high), None, log)


def _stepped(low: float, high: float, step: float) -> Range:
    """Returns a range that ends on its last step."""
    if not 0 < step <= high - low:
        raise DomainError(f"quniform needs 0 < step <= high - low, but got {[low, high, step]!r}")
    steps = math.floor((high - low) / step + 1e-9)
    return Range(float(low), _clean(low + steps * step), float(step))


def _clean(value: float) -> float:
    """Returns a sum of decimal fractions without its binary remainder: 0.3, not 0.30…04."""
    return float(f"{value:.12g}")


def _plain(domain: Range, value: float) -> float | int:
    return int(value) if domain.integer else float(value)
