"""Drawing a configuration again from the values that it came to, perhaps in another space."""

from collections.abc import Mapping
from typing import Any

from kdray.config.domains import Choice, Domain, Range, contains, describe, grid_values, samples
from kdray.config.drawing import NAMING, Drawn, Takes, draw, flatten
from kdray.config.validation import shown

_NOTHING = object()


def replay(
    tree: Mapping[str, Any], sections: Mapping[str, Any], takes: Takes
) -> tuple[Drawn, dict[str, str]]:
    """Draws plain sections from a space that may be another than the one they come from.

    Args:
        tree: Sections with domains, as `parse_tree` returns them.
        sections: Plain sections of a configuration, as `Drawn.sections` holds them.
        takes: From a section and its method to the options that it takes; see `draw`.

    Returns:
        What was drawn, and by dotted keys what is different in it, in words: "0.9 there, a number
        from 0.2 to 0.8 here". With none of these the space could have drawn the configuration.
    """
    differing: dict[str, str] = {}

    def choose(name: str, path: str, domain: Domain) -> Any:
        value = _at(sections, path)
        label = _label(domain, value)
        if label is _NOTHING:
            differing[path] = f"{_said(value)} there, {describe(domain)} here"
            return (grid_values(domain) or samples(domain))[0]
        return label

    drawn = draw(tree, choose, takes)
    here, there = flatten(drawn.sections), flatten(dict(sections))
    for key in dict.fromkeys([*here, *there]):
        ours, theirs = here.get(key, _NOTHING), there.get(key, _NOTHING)
        if ours != theirs:
            differing.setdefault(key, f"{_said(theirs)} there, {_said(ours)} here")
    return drawn, differing


def _at(sections: Any, path: str) -> Any:
    value = sections
    for part in path.split("."):
        if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, Mapping) and part in value:
            value = value[part]
        else:
            return _NOTHING
    return value


def _label(domain: Domain, value: Any) -> Any:
    if isinstance(domain, Range):
        return value if contains(domain, value) else _NOTHING
    labels = zip(domain.labels, domain.options, strict=True)
    return next((label for label, option in labels if _fits(option, value)), _NOTHING)


def _fits(tree: Any, value: Any) -> bool:
    """Returns whether `value` can be drawn from `tree`; a method may leave options out."""
    if isinstance(tree, Choice):
        return any(_fits(option, value) for option in tree.options)
    if isinstance(tree, Mapping):
        return (
            isinstance(value, Mapping)
            and (any(key in tree for key in NAMING) or value.keys() == tree.keys())
            and all(key in tree and _fits(tree[key], item) for key, item in value.items())
        )
    if isinstance(tree, list):
        same_length = isinstance(value, list) and len(value) == len(tree)
        return same_length and all(map(_fits, tree, value))
    return contains(tree if isinstance(tree, Range) else Choice((tree,)), value)


def _said(value: Any) -> str:
    return "not given" if value is _NOTHING else shown(value)
