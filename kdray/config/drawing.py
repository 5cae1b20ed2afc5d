"""Drawing one configuration from a space, define-by-run: a method's options after the method."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kdray.config.domains import Choice, Domain, Range, grid_values, is_scalar

Choose = Callable[[str, str, Domain], Any]
Takes = Callable[[str, str], frozenset[str] | None]
# The keys by one of which a mapping says which other keys it takes.
NAMING = ("method", "name")


@dataclass(frozen=True)
class Drawn:
    """One configuration.

    Attributes:
        sections: Plain sections, as if the user had written them.
        parameters: Every drawn value by its dotted name.
        choices: The same by the sampler's name, which tells apart what stands in different options
            of one choice.
    """

    sections: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    choices: dict[str, Any] = field(default_factory=dict)


def draw(tree: Mapping[str, Any], choose: Choose, takes: Takes) -> Drawn:
    """Draws a configuration.

    Args:
        tree: Sections with domains, as `parse_tree` returns them.
        choose: From the sampler's name, the dotted name and the domain to a value: a number, or
            one of `Choice.labels`.
        takes: From a section and its method to the options that it takes; None for a section
            without methods. What the method does not take is not drawn.
    """
    drawn = Drawn()
    pen = _Pen(drawn, choose, takes)
    for section, node in tree.items():
        drawn.sections[section] = pen.resolve(node, section, section)
    return drawn


def enumerate_grid(tree: Mapping[str, Any], takes: Takes) -> Iterator[Drawn]:
    """Yields every configuration of a space without continuous domains, once.

    Each draw follows a list of decisions as far as it goes and takes the first value afterwards;
    then the last decision that has another value left is moved on.

    Raises:
        ValueError: If a domain is continuous; the message is its dotted name.
    """
    decisions: list[tuple[int, int]] = []
    while True:
        place = 0

        def choose(name: str, path: str, domain: Domain) -> Any:
            nonlocal place
            values = grid_values(domain)
            if values is None:
                raise ValueError(path)
            if place == len(decisions):
                decisions.append((0, len(values)))
            place += 1
            return values[decisions[place - 1][0]]

        yield draw(tree, choose, takes)
        while decisions and decisions[-1][0] == decisions[-1][1] - 1:
            decisions.pop()
        if not decisions:
            return
        index, count = decisions[-1]
        decisions[-1] = (index + 1, count)


def flatten(value: Any, path: str = "") -> dict[str, Any]:
    """Returns the leaves of nested mappings and lists by their dotted names."""
    if isinstance(value, Mapping) and value:
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        items = [(str(index), item) for index, item in enumerate(value)]
    else:
        return {path: value}
    leaves: dict[str, Any] = {}
    for key, item in items:
        leaves |= flatten(item, f"{path}.{key}" if path else key)
    return leaves


@dataclass(frozen=True)
class _Pen:
    drawn: Drawn
    choose: Choose
    takes: Takes

    def resolve(self, node: Any, name: str, path: str) -> Any:
        if isinstance(node, Choice):
            return self._chosen(node, name, path)
        if isinstance(node, Range):
            return self._record(self.choose(name, path, node), name, path)
        if isinstance(node, Mapping):
            return self._mapping(node, name, path)
        if isinstance(node, list):
            return [self.resolve(v, f"{name}.{i}", f"{path}.{i}") for i, v in enumerate(node)]
        return node

    def _chosen(self, node: Choice, name: str, path: str) -> Any:
        label = self.choose(name, path, node)
        option = node.option(label)
        self.drawn.choices[name] = label
        if is_scalar(option):
            self.drawn.parameters[path] = option
            return option
        value = self.resolve(option, f"{name}[{label}]", path)
        self.drawn.parameters.update(flatten(value, path))
        return value

    def _mapping(self, node: Mapping[str, Any], name: str, path: str) -> dict[str, Any]:
        naming = next((key for key in NAMING if key in node), None)
        if naming is None:
            return {k: self.resolve(v, f"{name}.{k}", f"{path}.{k}") for k, v in node.items()}
        method = self.resolve(node[naming], f"{name}.{naming}", f"{path}.{naming}")
        taken = self.takes(path.partition(".")[0], method)
        value = {naming: method}
        for key, item in node.items():
            if key != naming and (taken is None or key in taken):
                value[key] = self.resolve(item, f"{name}.{key}", f"{path}.{key}")
        return value

    def _record(self, value: Any, name: str, path: str) -> Any:
        self.drawn.choices[name] = value
        self.drawn.parameters[path] = value
        return value
