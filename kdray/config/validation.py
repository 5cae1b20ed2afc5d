"""Checking a mapping against a pydantic section, in the user's words."""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from kdray.errors import Problem

_RULES = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "int_parsing": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


class Section(BaseModel):
    """A section of the search-space file: frozen, without room for unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


SectionT = TypeVar("SectionT", bound=Section)


def checked(
    section: type[SectionT], value: Any, path: str
) -> tuple[SectionT | None, list[Problem]]:
    """Validates `value` strictly: no number from a string, no truth from a word.

    Args:
        section: The section's class.
        value: What the file holds.
        path: The section's dotted key.

    Returns:
        The section and no problems, or None and all its problems.
    """
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        return None, [Problem(path, f"holds a value that YAML cannot express: {value!r}")]
    try:
        return section.model_validate_json(text, strict=True), []
    except ValidationError as error:
        return None, _problems(section, json.loads(text), path, error)


def nearest(word: object, known: Iterable[object]) -> str:
    """Returns `; did you mean ...?` for the nearest known word, or the list of all of them."""
    names = sorted(map(str, known))
    begun = [name for name in names if len(str(word)) > 2 and name.startswith(str(word))]
    close = begun or difflib.get_close_matches(str(word), names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(names)}" if names else ""


def dotted(path: str, *parts: object) -> str:
    """Returns a dotted key; an empty path adds no dot."""
    return ".".join([path, *map(str, parts)] if path else [str(part) for part in parts])


def within(where: str, path: str) -> bool:
    """Returns whether a dotted key is `path` or stands below it."""
    return where == path or where.startswith(f"{path}.")


def shown(value: Any) -> str:
    """Returns a value as it stands in a YAML file; text in quotes."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return repr(value)


def _problems(
    section: type[Section], value: Any, path: str, error: ValidationError
) -> list[Problem]:
    """Returns one problem a key; where a branch of a union got further, only that one counts."""
    found: dict[tuple[int | str, ...], list[ErrorDetails]] = {}
    for item in error.errors(include_url=False):
        parts = _real_parts(value, item["loc"], item["type"])
        found.setdefault(tuple(parts), []).append(item)
    return [
        Problem(dotted(path, *parts), _message(section, value, parts, items))
        for parts, items in found.items()
        if not any(other[: len(parts)] == parts != other for other in found)
    ]


def _real_parts(value: Any, location: Sequence[int | str], kind: str) -> list[int | str]:
    """Drops the names of union members that pydantic puts between the keys."""
    parts: list[int | str] = []
    for index, part in enumerate(location):
        if _has(value, part):
            value = value[part]
        elif not (kind == "missing" and index == len(location) - 1):
            continue
        parts.append(part)
    return parts


def _has(value: Any, part: int | str) -> bool:
    if isinstance(value, Mapping):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)


def _message(
    section: type[Section], value: Any, parts: Sequence[int | str], items: Sequence[ErrorDetails]
) -> str:
    item = items[0]
    if item["type"] == "extra_forbidden":
        return f"unknown key{nearest(parts[-1], _keys_at(section, value, parts[:-1]))}"
    if item["type"] == "missing":
        return "is required"
    if item["type"] == "value_error":
        return item["msg"].removeprefix("Value error, ")
    if item["type"].startswith("union_tag"):
        return _no_such_name(item, str(parts[-1]) if parts else "name")
    rules = " or ".join(dict.fromkeys(_rule(item) for item in items))
    where = "its key must" if "[key]" in item["loc"] else "must"
    hints = dict.fromkeys(map(_hint, items))
    return f"{where} be {rules}, but got {shown(item['input'])}{''.join(hints)}"


def _no_such_name(item: ErrorDetails, what: str) -> str:
    known = str(item["ctx"].get("expected_tags", "")).split("'")[1::2]
    if "tag" not in item["ctx"]:
        return f"must be a name, or a mapping with a `name`, but got {shown(item['input'])}"
    return f"no such {what}: {item['ctx']['tag']!r}{nearest(item['ctx']['tag'], known)}"


def _rule(item: ErrorDetails) -> str:
    if item["type"] in _RULES:
        return _RULES[item["type"]]
    if item["type"] == "too_short":
        return f"at least {item['ctx']['min_length']} long"
    rule = item["msg"].removeprefix("Input should be ")
    rule = rule.replace("greater than or equal to", "at least")
    return rule.replace("less than or equal to", "at most")


def _hint(item: ErrorDetails) -> str:
    found = item["input"]
    if not isinstance(found, str):
        return ""
    if item["type"] in ("int_type", "float_type"):
        return "; write it without quotes" if _is_number(found) else ""
    known = str(item.get("ctx", {}).get("expected", "")).split("'")[1::2]
    close = difflib.get_close_matches(found, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _keys_at(section: type[Section], value: Any, parts: Sequence[int | str]) -> list[str]:
    models: list[type[BaseModel]] = [section]
    for part in parts:
        value = value[part]
        fields = [model.model_fields[str(part)] for model in models if part in model.model_fields]
        models = [model for field in fields for model in _models_in(field.annotation)] or models
    return sorted({key for model in _named(models, value) for key in model.model_fields})


def _named(models: list[type[BaseModel]], value: Mapping[str, Any]) -> list[type[BaseModel]]:
    """Returns the member of a union that the `name` in the file chooses, else all of them."""
    named = [
        model
        for model in models
        if "name" in value and "name" in model.model_fields
        if model.model_fields["name"].default == value["name"]
    ]
    return named or models


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]
