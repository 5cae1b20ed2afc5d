"""The JSON schema of a search-space file, and of a profile, for editors.

Put together from what `kdray.schema` gathers, as loading does. What two values or the data decide
together (a student deeper than its teacher, a label that is not there) only loading knows.
"""

from collections.abc import Mapping
from typing import Any

from kdray.config.json_schema import (
    Schema,
    by_name,
    domain_schema,
    or_domain,
    section_schemas,
    without_name,
)
from kdray.config.sections import Bound, Student, Training
from kdray.config.validation import Section
from kdray.data.sources import SOURCES
from kdray.evaluation.metrics import METRICS, NOISE, PREDICTED
from kdray.metric_checks import CLASS_METRIC
from kdray.profile import ALLOWED
from kdray.profile import SECTIONS as PROFILE_SECTIONS
from kdray.results.folder import SAFE_NAME
from kdray.schema import DEFAULTS, FAMILIES, NAMING, PLAIN, TOP_LEVEL

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_SEARCHED: dict[str, type[Section]] = {"student": Student, "training": Training}
_NOTHING = {"type": "null"}


def search_space_schema() -> Schema:
    """Returns the JSON schema (draft 2020-12) of a search-space file."""
    fixed, definitions = section_schemas([*PLAIN.values(), Bound, *SOURCES.values()], False)
    methods = [method for table in FAMILIES.values() for method in table.values()]
    searched, more = section_schemas([*_SEARCHED.values(), *methods], True)
    definitions |= more
    sections = {name: _or_nothing(fixed[section]) for name, section in PLAIN.items()}
    sections["data"] = _or_nothing(_source(fixed, definitions))
    for name, section in _SEARCHED.items():
        sections[name] = _searched(name, [searched[section]])
    for family in FAMILIES:
        definitions |= _family(family, searched, definitions)
        sections[family] = _searched(family, _forms(family))
    sections |= _single_values() | _metrics(fixed[Bound])
    found = {
        key: {"default": DEFAULTS[key], **sections[key]} if key in DEFAULTS else sections[key]
        for key in TOP_LEVEL
    }
    return _document("A search space of kdray.", found, definitions)


def profile_schema() -> Schema:
    """Returns the JSON schema (draft 2020-12) of a profile."""
    refs, definitions = section_schemas(PROFILE_SECTIONS.values(), False)
    sections = {name: _or_nothing(refs[one]) for name, one in PROFILE_SECTIONS.items()}
    search = definitions.pop(PROFILE_SECTIONS["search"].__name__)
    kept = {"time_budget_s": search["properties"]["time_budget_s"]}
    sections["search"] = _or_nothing({**search, "properties": kept})
    about = "Folder or URI of sweeps."
    sections["output"] = {"description": about, "anyOf": [{"type": "string"}, _NOTHING]}
    found = {key: sections[key] for key in ALLOWED}
    return _document("A profile of kdray: where and how a sweep runs.", found, definitions)


def _document(title: str, sections: Schema, definitions: Schema) -> Schema:
    return {
        "$schema": DRAFT,
        "title": title,
        "type": "object",
        "properties": sections,
        "additionalProperties": False,
        "$defs": definitions,
    }


def _or_nothing(schema: Schema) -> Schema:
    """Returns the schema of a section, which has its defaults where it is null."""
    return {"anyOf": [schema, _NOTHING]}


def _searched(name: str, forms: list[Schema]) -> Schema:
    """Returns the schema of a searchable section: it may be drawn whole."""
    return {"anyOf": [*forms, domain_schema([], f"#/properties/{name}"), _NOTHING]}


def _single_values() -> Schema:
    name = "Name of the sweep, a safe file name; without one it is the file's."
    seed = "Of the data, the teacher's start and the sampler."
    return {
        "name": {
            "description": name,
            "type": ["string", "null"],
            "pattern": f"^{SAFE_NAME.pattern}$",
        },
        "seed": {"description": seed, "type": ["integer", "null"], "minimum": 0},
    }


def _metrics(bound: Schema) -> Schema:
    """Returns the schemas of the sections that name metrics; an F1 of a label has any label's."""
    directions: Schema = {name: {"const": better} for name, better in METRICS.items()}
    patterns: Schema = {f"^{CLASS_METRIC}": {"const": "maximize"}}
    patterns |= {f"^{NOISE.pattern}{name}$": {"const": METRICS[name]} for name in PREDICTED}
    forms = {
        "objectives": ("Metrics, and what is better of each.", directions, patterns, 1),
        "constraints": (
            "Metrics, and what a feasible trial keeps to.",
            dict.fromkeys(directions, bound),
            dict.fromkeys(patterns, bound),
            0,
        ),
    }
    return {
        key: {
            "description": about,
            "type": ["object", "null"],
            "properties": names,
            "patternProperties": more,
            "additionalProperties": False,
            "minProperties": least,
        }
        for key, (about, names, more, least) in forms.items()
    }


def _source(refs: Mapping[type[Section], Schema], definitions: Schema) -> Schema:
    """Returns the schema of `data`."""
    parts = [
        ({"const": name}, _as_part(refs[source], "source", definitions))
        for name, source in SOURCES.items()
    ]
    return _about(SOURCES) | by_name("source", _names(SOURCES), parts)


def _family(family: str, refs: Mapping[type[Section], Schema], definitions: Schema) -> Schema:
    """Returns the definitions of a family: the mapping that names a method, and each name.

    A method may be drawn: then whatever one of those takes may stand beside it.
    """
    table, key = FAMILIES[family], NAMING[family]
    found = {f"{family}.{name}": _meant(name, f"#/$defs/{family}.{name}") for name in table}
    parts = [
        ({"$ref": f"#/$defs/{family}.{name}"}, _as_part(refs[method], key, definitions))
        for name, method in table.items()
    ]
    which = or_domain(_names(table), f"#/$defs/{family}/properties/{key}")
    return {**found, family: _about(table) | by_name(key, which, parts)}


def _forms(family: str) -> list[Schema]:
    """Returns what a section of a family may be, besides drawn whole."""
    whole: Schema = {"$ref": f"#/$defs/{family}"}
    if family == "pruning":
        place = "#/properties/pruning/anyOf/1/items"
        items = {"anyOf": [whole, domain_schema([], place)]}
        return [whole, {"description": "Several, in order.", "type": "array", "items": items}]
    if family == "regime":
        table = FAMILIES[family]
        alone = {name: one for name, one in table.items() if not _required(one)}
        return [_names(alone), whole]
    return [whole]


def _required(section: type[Section]) -> bool:
    return any(option.is_required() for option in section.model_fields.values())


def _as_part(ref: Schema, key: str, definitions: Schema) -> Schema:
    name = ref["$ref"].rpartition("/")[2]
    definitions[name] = without_name(definitions[name], key)
    return ref


def _meant(name: str, place: str) -> Schema:
    """Returns the schema of what may be this name: the name, or a choice with it."""
    drawn = {"choice": {"type": "array", "contains": {"$ref": place}}}
    return {
        "anyOf": [
            {"const": name},
            {"type": "object", "properties": drawn, "required": list(drawn)},
        ]
    }


def _names(table: Mapping[str, type[Section]]) -> Schema:
    """Returns the schema of a name, with what editors show for each."""
    says = [_first_paragraph(section) for section in table.values()]
    return {"enum": list(table), "enumDescriptions": says}


def _about(table: Mapping[str, type[Section]]) -> Schema:
    """Returns the description of a family: that of the class which all of them come from."""
    classes = list(table.values())
    base = next(b for b in classes[0].__mro__ if all(issubclass(one, b) for one in classes))
    return {"description": _first_paragraph(base)}


def _first_paragraph(section: type[Any]) -> str:
    return " ".join((section.__doc__ or "").strip().split("\n\n")[0].split())
