"""Checking a mapping against a pydantic section, in the user's words."""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from kdray.errors import Problem


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
        return section.model_validate_json(json.dumps(value), strict=True), []
    except TypeError:
        return None, [Problem(path, f"holds a value that YAML cannot express: {value!r}")]
    except ValidationError as error:
        return None, _problems(section, value, path, error)


def nearest(word: str, known: Iterable[str]) -> str:
    """Returns `; did you mean ...?` for the nearest known word, or the list of all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(names)}" if names else ""


def dotted(path: str, *parts: object) -> str:
    """Returns a dotted key; an empty path adds no dot."""
    return ".".join([path, *map(str, parts)] if path else [str(part) for part in parts])


def _problems(
    section: type[Section], value: Any, path: str, error: ValidationError
) -> list[Problem]:
    messages: dict[str, list[str]] = {}
    for item in error.errors(include_url=False):
        parts = _real_parts(value, item["loc"], item["type"])
        text = _message(section, parts, item)
        found = messages.setdefault(dotted(path, *parts) if parts else path, [])
        if text not in found:
            found.append(text)
    return [Problem(where, " or ".join(texts)) for where, texts in messages.items()]


def _real_parts(value: Any, location: Sequence[int | str], kind: str) -> list[int | str]:
    """Drops the names of union members that pydantic puts between the keys."""
    parts: list[int | str] = []
    for index, part in enumerate(location):
        last = index == len(location) - 1
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        elif not (last and kind == "missing"):
            continue
        parts.append(part)
    return parts


def _message(section: type[Section], parts: Sequence[int | str], item: Any) -> str:
    kind, found = item["type"], item["input"]
    if kind == "extra_forbidden":
        return f"unknown key{nearest(str(parts[-1]), _keys_at(section, parts[:-1]))}"
    if kind == "missing":
        return "is required"
    if kind == "union_tag_invalid":
        context = item["ctx"]
        known = str(context["expected_tags"]).split("'")[1::2]
        return f"no such {parts[-1] if parts else 'name'}: {context['tag']!r}{nearest(context['tag'], known)}"
    rule = item["msg"].removeprefix("Value error, ").replace("Input should", "should")
    if kind == "value_error":
        return str(rule)
    shown = f"{rule}, but got {found!r}"
    if kind == "literal_error" and isinstance(found, str):
        close = difflib.get_close_matches(found, str(item["ctx"]["expected"]).split("'")[1::2], n=1)
        return f"{shown}; did you mean {close[0]!r}?" if close else shown
    return shown


def _keys_at(section: type[Section], parts: Sequence[int | str]) -> list[str]:
    models: list[type[BaseModel]] = [section]
    for part in parts:
        fields = [model.model_fields[str(part)] for model in models if part in model.model_fields]
        models = [model for field in fields for model in _models_in(field.annotation)] or models
    return sorted({key for model in models for key in model.model_fields})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]
