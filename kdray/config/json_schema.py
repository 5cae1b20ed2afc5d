"""JSON schemas of sections, made from the same classes that a file is checked with.

A domain is taken wherever `kdray.config.domains` parses one, of the numbers that the option takes.

JSON Schema, draft 2020-12: https://json-schema.org/draft/2020-12
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from kdray.config.domains import DOMAIN_NAMES
from kdray.config.validation import Section

Schema = dict[str, Any]
_ABOUT = ("description", "default")
_MOST = ("maximum", "exclusiveMaximum")


class _Generator(GenerateJsonSchema):
    """What pydantic makes, with the defaults that a factory gives, and without invented titles."""

    def get_default_value(self, schema: Any) -> Any:
        """Returns the default of an option."""
        factory = schema.get("default_factory")
        return factory() if factory else super().get_default_value(schema)

    def dict_schema(self, schema: Any) -> Schema:
        """Returns the schema of a mapping, whose keys are text in JSON, numbers too."""
        found: Schema = super().dict_schema(schema)
        if schema.get("keys_schema", {}).get("type") == "int":
            found["propertyNames"] = {"pattern": "^[0-9]+$"}
        return found

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Returns that no title is needed: options have names."""
        return False


def section_schemas(
    sections: Collection[type[Section]], searchable: bool
) -> tuple[dict[type[Section], Schema], Schema]:
    """Returns a reference to each section's schema, and the definitions for `$defs`.

    Args:
        sections: The sections.
        searchable: Whether a domain may stand in place of each value in them.
    """
    prefix = "searched." if searchable else ""
    refs, top = models_json_schema(
        [(section, "validation") for section in sections],
        ref_template=f"#/$defs/{prefix}{{model}}",
        schema_generator=_Generator,
    )
    found = {f"{prefix}{name}": schema for name, schema in top["$defs"].items()}
    unions = {name: _with_unions(schema, found) for name, schema in found.items()}
    if searchable:
        unions = {name: _deepened(one, f"#/$defs/{name}") for name, one in unions.items()}
    return {section: refs[section, "validation"] for section in sections}, unions


def by_name(key: str, which: Schema, parts: Iterable[tuple[Schema, Schema]]) -> Schema:
    """Returns the schema of a mapping that says by one key which others it takes.

    Args:
        key: That key.
        which: The schema of its value.
        parts: For each name a schema of values that mean it, and of the mapping then.
    """
    return {
        "type": "object",
        "properties": {key: which},
        "required": [key],
        "allOf": [
            {"if": {"properties": {key: meant}, "required": [key]}, "then": part}
            for meant, part in parts
        ],
        "unevaluatedProperties": False,
    }


def without_name(schema: Schema, key: str) -> Schema:
    """Returns a section's schema as a part of `by_name`, in which others' keys may stand."""
    rest = {name: value for name, value in schema["properties"].items() if name != key}
    return {k: v for k, v in schema.items() if k != "additionalProperties"} | {"properties": rest}


def or_domain(schema: Schema, place: str) -> Schema:
    """Returns the schema of a value in whose place, and in whose parts, a domain may stand.

    Args:
        schema: Of the value.
        place: The JSON pointer under which the result stands: choices hold such values again.
    """
    about = {key: schema[key] for key in _ABOUT if key in schema}
    rest = {key: value for key, value in schema.items() if key not in _ABOUT}
    branches = rest.get("anyOf", [rest])
    deep = [_deepened(branch, f"{place}/anyOf/{i}") for i, branch in enumerate(branches)]
    return about | {"anyOf": [*deep, domain_schema(branches, place)]}


def domain_schema(branches: Sequence[Schema], place: str) -> Schema:
    """Returns the schema of the domains that may stand in place of a value.

    Args:
        branches: What the value may be.
        place: The JSON pointer of what an option of a choice may be.
    """
    numbers = [branch for branch in branches if branch.get("type") in ("integer", "number")]
    options = {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"$ref": place}}
    kinds = {"choice": {"description": "One of these.", **options}}
    for name in DOMAIN_NAMES[1:]:
        whole = name.endswith("randint")
        fitting = [number for number in numbers if whole or number["type"] == "number"]
        if fitting:
            kinds[name] = _range(name, fitting[0])
    return {
        "type": "object",
        "description": "A domain: the value is searched.",
        "properties": kinds,
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }


def _range(name: str, number: Schema) -> Schema:
    """Returns the schema of a range's bounds: what they are is what a sampler may draw."""
    one: Schema = {"allOf": [number, {"exclusiveMinimum": 0}]} if name.startswith("log") else number
    items, says = [one, one], "From the first to the second, both included."
    if name.endswith("randint"):
        whole = {"type": "integer"}
        above = {key: number[key] + 1 for key in _MOST if key in number}
        items = [{"allOf": [one, whole]}, whole | above]
        says = "Integers from the first to the one before the second."
    if name == "quniform":
        step = {"type": "number", "exclusiveMinimum": 0}
        items, says = [one, {"type": "number"}, step], "From the first to the second, in steps."
    size = len(items)
    says += " Drawn by the logarithm." if name.startswith("log") else ""
    return {
        "description": says,
        "type": "array",
        "prefixItems": items,
        "minItems": size,
        "maxItems": size,
    }


def _deepened(schema: Schema, place: str) -> Schema:
    """Returns a schema in whose parts domains may stand."""
    found = dict(schema)
    if "properties" in schema:
        found["properties"] = {
            key: or_domain(value, f"{place}/properties/{key}")
            for key, value in schema["properties"].items()
        }
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            found[key] = or_domain(schema[key], f"{place}/{key}")
    return found


def _with_unions(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Returns a section's schema in which what is chosen by its name may stand as the name."""
    options = schema.get("properties", {})
    changed = {
        key: _union(value, definitions)
        for key, value in options.items()
        if "discriminator" in value
    }
    return {**schema, "properties": {**options, **changed}} if options else schema


def _union(value: Schema, definitions: Mapping[str, Schema]) -> Schema:
    key, places = value["discriminator"]["propertyName"], value["discriminator"]["mapping"]
    parts = [
        ({"const": name}, without_name(definitions[place.rpartition("/")[2]], key))
        for name, place in places.items()
    ]
    which = {"enum": list(places)}
    about = {key: value[key] for key in _ABOUT if key in value}
    return about | {"anyOf": [which, by_name(key, which, parts)]}
