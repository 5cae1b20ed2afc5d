"""Reading a YAML file the way a person means it, with the line of every key.

YAML 1.2's core schema: `1e-4` is a number, `no` and `on` are words, dates are words. No tags.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from kdray.config.validation import within
from kdray.errors import ConfigError, Problem

FILE_KEYS = (
    "data.train",
    "data.validation",
    "data.test",
    "data.unlabeled",
    "evaluation.out_of_domain",
)
FOLDER_OR_NAME_KEYS = ("data.name", "teacher.model", "student.initial")
FOLDER_LIST = "search.warm_start."
MOST_VALUES, DEEPEST = 100_000, 50


class _Loader(yaml.SafeLoader):
    pass


_Loader.yaml_implicit_resolvers = {}
_IMPLICIT = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+", list("-+0123456789")),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    "merge": (r"<<", ["<"]),
}
for _name, (_pattern, _first) in _IMPLICIT.items():
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(f"^(?:{_pattern})$"), _first
    )
_KNOWN_TAGS = {*_IMPLICIT, "str", "seq", "map"}
_Loader.yaml_constructors = {
    tag: construct
    for tag, construct in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.rpartition(":")[2] in _KNOWN_TAGS
}
_Loader.add_constructor("tag:yaml.org,2002:bool", lambda loader, node: _bool(node.value))
_Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))
_Loader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: _float(node.value))


@dataclass(frozen=True)
class Document:
    """A YAML file as read.

    Attributes:
        content: Its mapping.
        lines: The line of each dotted key, from 1; 0 for what does not come from the file.
        source: The file's name, for messages.
        base: The folder that relative paths in it start from.
        problems: Keys that stand twice; to be told with everything else that is wrong.
    """

    content: dict[str, Any]
    lines: Mapping[str, int]
    source: str
    base: Path
    problems: tuple[Problem, ...] = ()

    def problem(self, where: str, message: str) -> Problem:
        """Returns a problem at a dotted key, with the line of the key or of its nearest parent."""
        key = where
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        return Problem(where, message, self.lines.get(key) or None)

    def without_lines(self, key: str) -> Mapping[str, int]:
        """Returns the lines of a document in which `key` comes from somewhere else."""
        return {k: line for k, line in self.lines.items() if not within(k, key)} | {key: 0}


def read_document(path: Path) -> Document:
    """Reads a YAML file whose top is a mapping.

    Raises:
        ConfigError: If the file is missing, is no YAML or is no mapping.
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
    lines: dict[str, int] = {}
    twice: list[Problem] = []
    try:
        root = _composed(text)
        _collect_lines(root, "", lines, twice)
        content = _constructed(root)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError([_syntax_problem(error, source)]) from None
    if not isinstance(content, dict):
        raise ConfigError([Problem(source, "must be a mapping of sections, such as `data:`")])
    return Document(content, lines, source, base, tuple(twice))


def with_overrides(document: Document, assignments: Sequence[str]) -> Document:
    """Returns the document with `key=value` assignments of the command line put in.

    Values are read as YAML. A relative path is taken from the current folder, not the file's.

    Raises:
        ConfigError: If an assignment has no `=`, or goes through something that is no mapping.
    """
    problems: list[Problem] = []
    for assignment in assignments:
        key, _, text = assignment.partition("=")
        try:
            if "=" not in assignment or not all(key.split(".")):
                raise ValueError("it takes key=value")
            value = _from_here(key, _constructed(_composed(text)))
            content = _assigned(document.content, key.split("."), value)
            document = replace(document, content=content, lines=document.without_lines(key))
        except (yaml.YAMLError, ValueError) as error:
            reason = error.problem if isinstance(error, yaml.MarkedYAMLError) else error
            problems.append(Problem("--set", f"{assignment!r} cannot be set: {reason}"))
    if problems:
        raise ConfigError([*document.problems, *problems], document.source)
    return document


def _composed(text: str) -> yaml.Node | None:
    """Returns the nodes of YAML text, which stand for so many values that they can be made."""
    try:
        root = yaml.compose(text, _Loader)
        if root is not None:
            _size(root, {}, ())
    except RecursionError:
        raise ValueError(f"nested deeper than {DEEPEST} levels") from None
    return root


def _constructed(root: yaml.Node | None) -> Any:
    """Returns the plain values that nodes stand for; the merges among them are gone then."""
    return None if root is None else _Loader("").construct_document(root)


def _size(
    node: yaml.Node, known: dict[yaml.Node, tuple[int, int]], above: tuple[yaml.Node, ...]
) -> tuple[int, int]:
    """Returns how many values a node stands for, and in how many levels.

    An alias counts as all that it repeats: ten lines of aliases of aliases can stand for more
    values than fit into memory.
    """
    if node in above:
        raise yaml.MarkedYAMLError(problem="an alias holds itself", problem_mark=node.start_mark)
    if node not in known:
        inner = [_size(value, known, (*above, node)) for _, _, value in _entries(node)]
        values, levels = zip(*inner, strict=True) if inner else ((), ())
        known[node] = 1 + sum(values), 1 + max(levels, default=0)
    if known[node][0] > MOST_VALUES or known[node][1] > DEEPEST:
        problem = f"stands for more than {MOST_VALUES:,} values or {DEEPEST} levels, with aliases"
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
    return known[node]


def _from_here(key: str, value: Any) -> Any:
    """Resolves relative paths; what may be a name on the hub is one unless it exists here."""
    if isinstance(value, dict):
        return {inner: _from_here(f"{key}.{inner}", item) for inner, item in value.items()}
    if isinstance(value, list):
        return [_from_here(f"{key}.{index}", item) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    is_path = key in FILE_KEYS or key.startswith(FOLDER_LIST)
    named = key.rstrip("0123456789.")  # a member of a list
    is_path = is_path or (named in FOLDER_OR_NAME_KEYS and Path(value).exists())
    return str(Path(value).resolve()) if is_path else value


def _assigned(container: Any, keys: list[str], value: Any) -> Any:
    if not keys:
        return value
    key, rest = keys[0], keys[1:]
    if isinstance(container, list):
        if not key.isdecimal() or int(key) >= len(container):
            raise ValueError(f"{key!r} is no place in a list of {len(container)}")
        index = int(key)
        new = _assigned(container[index], rest, value)
        return [*container[:index], new, *container[index + 1 :]]
    if container is not None and not isinstance(container, dict):
        raise ValueError(f"{key!r} cannot stand below the value {container!r}")
    container = container or {}
    named = next((known for known in container if str(known) == key), key)
    return {**container, named: _assigned(container.get(named), rest, value)}


def _collect_lines(
    node: yaml.Node | None,
    path: str,
    lines: dict[str, int],
    twice: list[Problem],
) -> None:
    for key, line, value in _entries(node):
        where = f"{path}.{key}" if path else key
        if isinstance(node, yaml.MappingNode) and where in lines and key != "<<":
            twice.append(Problem(where, "stands twice; keep one of them", line))
            continue
        lines[where] = line
        _collect_lines(value, where, lines, twice)


def _entries(node: yaml.Node | None) -> list[tuple[str, int, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        return [(str(key.value), key.start_mark.line + 1, value) for key, value in node.value]
    if isinstance(node, yaml.SequenceNode):
        return [(str(i), item.start_mark.line + 1, item) for i, item in enumerate(node.value)]
    return []


def _syntax_problem(error: Exception, source: str) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return Problem(source, f"is no YAML: {error.problem}", error.problem_mark.line + 1)
    return Problem(source, f"is no YAML: {str(error).splitlines()[0]}")


def _bool(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def _float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
