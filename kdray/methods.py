"""Every method with its options, defaults and papers, as `kdray methods` tells it."""

import inspect
import re
from typing import Any

from pydantic_core import to_jsonable_python

from kdray.config.validation import Section
from kdray.schema import FAMILIES, NAMING

_PAPER = re.compile(r"https?://[^\s)]+")
_SAID = ("default", "description", "title")


def methods_document() -> dict[str, Any]:
    """Returns every method by its family and its name, ready for JSON.

    Returns:
        Of each `about`, `papers` (links) and `options`, by name: `default`, `required`, `about` and
        `values`, a JSON schema of what it takes.
    """
    return {
        family: {name: _method(NAMING[family], method) for name, method in table.items()}
        for family, table in FAMILIES.items()
    }


def _method(key: str, method: type[Section]) -> dict[str, Any]:
    schema = method.model_json_schema()
    values = _inlined(schema["properties"], schema.get("$defs", {}))
    options = {}
    for name, field in method.model_fields.items():
        if name != key:
            required = field.is_required()
            default = None if required else field.get_default(call_default_factory=True)
            options[name] = {
                "default": to_jsonable_python(default),
                "required": required,
                "about": field.description or "",
                "values": {k: v for k, v in values[name].items() if k not in _SAID},
            }
    about = inspect.cleandoc(method.__doc__ or "")
    return {"about": about, "papers": _PAPER.findall(about), "options": options}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """Returns a schema in which each definition stands where it is referred to."""
    if isinstance(schema, list):
        return [_inlined(one, definitions) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {key: _inlined(value, definitions) for key, value in schema.items()}
