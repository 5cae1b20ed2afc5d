"""Reading a YAML file the way a person means it, with the line of every key.

YAML 1.2's core schema: `1e-4` is a number, `no` and `on` are words, dates are words. No tags.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kdray.errors import ConfigError, Problem

PATH_KEYS = ("data.train", "data.validation", "data.test", "teacher.model", "student.initial")


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""]
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan)$"),
    list("-+.0123456789"),
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^<<$"), ["<"])
_Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))
_Loader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: _float(node.value))


@dataclass(frozen=True)
class Document:
    """A YAML file as read.

    Attributes:
        content: Its mapping.
        lines: The line of each dotted key, from 1.
        source: The file's name, for messages.
        base: The folder that relative paths in it start from.
    """

    content: dict[str, Any]
    lines: Mapping[str, int]
    source: str
    base: Path

    def problem(self, where: str, message: str) -> Problem:
        """Returns a problem at a dotted key, with the line of the key or of its nearest parent."""
        key = where
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        return Problem(where, message, self.lines.get(key))


def read_document(path: Path) -> Document:
    """Reads a YAML file whose top is a mapping.

    Raises:
        ConfigError: If the file is missing, is no YAML, has a key twice or is no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError([Problem(str(path), f"cannot be read: {reason}")]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(str(path), f"is not UTF-8: {error.reason}")]) from None
    return parse_document(text, str(path), path.resolve().parent)


def parse_document(text: str, source: str, base: Path) -> Document:
    """Parses YAML text; see `read_document`."""
    try:
        root = yaml.compose(text, _Loader)
        content = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader without implicit surprises
    except yaml.YAMLError as error:
        raise ConfigError([_syntax_problem(error, source)]) from None
    if not isinstance(content, dict) or root is None:
        raise ConfigError([Problem(source, "must be a mapping of sections, such as `data:`")])
    lines: dict[str, int] = {}
    twice: list[Problem] = []
    _collect_lines(root, "", lines, twice)
    if twice:
        raise ConfigError(twice, source)
    return Document(content, lines, source, base)


def with_overrides(document: Document, assignments: Sequence[str]) -> Document:
    """Returns the document with `key=value` assignments of the command line put in.

    Values are read as YAML. A relative path is taken from the current folder, not the file's.

    Raises:
        ConfigError: If an assignment has no `=`, or goes through something that is no mapping.
    """
    content = document.content
    problems: list[Problem] = []
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            problems.append(Problem("--set", f"takes key=value, but got {assignment!r}"))
            continue
        try:
            value = yaml.load(text, _Loader)  # noqa: S506 - see above
            if key in PATH_KEYS and isinstance(value, str) and Path(value).exists():
                value = str(Path(value).resolve())
            content = _assigned(content, key.split("."), value)
        except (yaml.YAMLError, LookupError, TypeError, ValueError):
            problems.append(Problem("--set", f"{key!r} cannot be set to {text!r}"))
    if problems:
        raise ConfigError(problems, document.source)
    return Document(content, document.lines, document.source, document.base)


def _assigned(container: Any, keys: list[str], value: Any) -> Any:
    key, rest = keys[0], keys[1:]
    if isinstance(container, list):
        index = int(key)
        new = _assigned(container[index], rest, value) if rest else value
        return [*container[:index], new, *container[index + 1 :]]
    if not isinstance(container, dict):
        raise TypeError(f"no mapping at {key}")
    inner = container.get(key)
    return {
        **container,
        key: _assigned({} if inner is None else inner, rest, value) if rest else value,
    }


def _collect_lines(node: yaml.Node, path: str, lines: dict[str, int], twice: list[Problem]) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key_node, value_node in node.value:
            key = f"{path}.{key_node.value}" if path else str(key_node.value)
            line = key_node.start_mark.line + 1
            if key in seen:
                twice.append(Problem(key, "stands twice; keep one of them", line))
            seen.add(key)
            lines.setdefault(key, line)
            _collect_lines(value_node, key, lines, twice)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines.setdefault(f"{path}.{index}", item.start_mark.line + 1)
            _collect_lines(item, f"{path}.{index}", lines, twice)


def _syntax_problem(error: yaml.YAMLError, source: str) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return Problem(source, f"no YAML: {error.problem}", error.problem_mark.line + 1)
    return Problem(source, f"no YAML: {error}")


def _float(text: str) -> float:
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))
