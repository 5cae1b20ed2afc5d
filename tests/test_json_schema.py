"""The schema and the loader agree on what a file may hold."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from kdray.config.domains import parse_tree, samples
from kdray.config.loading import parse_document, read_document
from kdray.config.sections import Student, Training
from kdray.config.validation import Section
from kdray.data.sources import SOURCES
from kdray.errors import Problem
from kdray.json_schema import profile_schema, search_space_schema
from kdray.pruning.table import PRUNING
from kdray.schema import FAMILIES, NAMING, PLAIN, TOP_LEVEL
from tests.test_loading import ONE_MISTAKE

ROOT = Path(__file__).parent.parent
SPACES = sorted([*ROOT.glob("search_spaces/*.yaml"), *ROOT.glob("reports/**/*.yaml")])
PROFILES = ["local.yaml", "multi_gpu.yaml", "cluster.yaml", "cluster_s3.yaml"]
SCHEMA = search_space_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
# What files, the data, the teacher or another value decide.
NOT_BY_ITSELF = (
    "a teacher without `model`",
    "no such folder",
    "no such label",
    "must be a list of labels",
    "must be a list of 0/1 columns, or",
    "name the column",
    "must be one column,",
    "needs low < high",
    "one a label",
    "must lie within",
    "at most the teacher's",
    "must be a multiple of heads",
    "objectives.f1_spamm",
    "measures no quality",
    "stands twice",
)
VALUES = [-1, 0, 0.5, 1, 1.5, 2, "x", "none", "auto", True, None, [], [1], ["a"], {}, {"a": 0.5}]
DOMAINS = [
    {"choice": [1, 2]},
    {"choice": [0.1, None]},
    {"choice": ["none", ["a"]]},
    {"uniform": [0.1, 0.5]},
    {"uniform": [0, 2]},
    {"loguniform": [0.1, 0.9]},
    {"quniform": [0, 0.5, 0.25]},
    {"randint": [0, 2]},
    {"randint": [2, 5]},
    {"lograndint": [1, 4]},
]


def plain(file: Path) -> Any:
    return json.loads(json.dumps(read_document(file).content))


def problems(value: Any) -> list[str]:
    return [f"{e.json_path}: {e.message}" for e in VALIDATOR.iter_errors(value)]


def test_it_is_a_schema_of_draft_2020_12() -> None:
    for schema in (SCHEMA, profile_schema()):
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("file", SPACES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_every_shipped_search_space_is_valid(file: Path) -> None:
    assert problems(plain(file)) == []


def test_every_shipped_profile_is_valid_and_others_are_not() -> None:
    validator = Draft202012Validator(profile_schema())
    assert all(validator.is_valid(plain(ROOT / "sweeps" / name)) for name in PROFILES)
    for wrong in ({"search": {"trials": 3}}, {"data": {}}, {"output": 3}, {"resources": {"x": 1}}):
        assert not validator.is_valid(wrong)


@pytest.mark.parametrize(("text", "message"), ONE_MISTAKE, ids=[text for text, _ in ONE_MISTAKE])
def test_what_loading_refuses_by_itself_the_schema_refuses(text: str, message: str) -> None:
    content = json.loads(json.dumps(parse_document(text, "space.yaml", Path("/nowhere")).content))
    expected = any(part in message for part in NOT_BY_ITSELF)
    assert VALIDATOR.is_valid(content) == expected


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"training": None, "pruning": None, "seed": None},
        {"regime": "mutual"},
        {"regime": {"choice": ["single", {"name": "born_again", "generations": 2}]}},
        {"pruning": []},
        {"pruning": {"choice": [{"method": "none"}, [{"method": "random"}, {"method": "layers"}]]}},
        {"pruning": [{"choice": [{"method": "none"}, {"method": "random", "ratio": 0.5}]}]},
        {"distillation": {"method": {"choice": ["none", "hidden"]}, "hidden_weight": 0.1}},
        {"distillation": {"method": {"choice": ["logit", {"choice": ["hidden"]}]}, "alpha": 0.1}},
        {"student": {"choice": [{"layers": 1}, {"initial": "scratch", "architecture": {}}]}},
        {"search": {"sampler": "gp", "scheduler": {"name": "median", "grace_epochs": 2}}},
        {"objectives": {"f1_spam": "maximize", "noise_5_macro_f1": "maximize"}},
        {"constraints": {"size_mb": {"maximum": 2}}},
    ],
    ids=str,
)
def test_whatever_form_loading_takes_is_valid(content: Any) -> None:
    assert problems(content) == []


@pytest.mark.parametrize(
    "content",
    [
        {"regime": "progressive"},  # its assistants are required
        {"pruning": [[{"method": "none"}]]},
        {"pruning": {"method": {"choice": ["none", "random"]}, "scope": "layer"}},
        {"pruning": {"method": {"choice": ["random", "vocabulary"]}, "ratio": 1.0}},
        {"data": {"source": "synthetic", "train": "x.csv"}},
        {"search": {"sampler": {"name": "random", "startup_trials": 3}}},
        {"objectives": {}},
        {"objectives": {"test_macro_f1": "maximize"}},
        {"name": "a/b"},
    ],
    ids=str,
)
def test_what_no_method_or_section_takes_is_refused(content: Any) -> None:
    assert not VALIDATOR.is_valid(content)


def members() -> Iterator[tuple[str, type[Section], dict[str, Any], bool]]:
    """Yields every section: its key, its class, what names it, and whether it is searched."""
    for family, table in FAMILIES.items():
        for name, section in table.items():
            yield family, section, {NAMING[family]: name}, True
    for name, source in SOURCES.items():
        yield "data", source, {"source": name}, False
    for key, plain_section in PLAIN.items():
        yield key, plain_section, {}, False
    yield "student", Student, {}, True
    yield "training", Training, {}, True


def required(section: type[Section]) -> dict[str, Any]:
    usual = {"assistants": [{"layers": 1}], "train": "x.csv", "labels": ["a"], "name": "n"}
    return {key: usual[key] for key, field in section.model_fields.items() if field.is_required()}


def refusals(section: type[Section], value: dict[str, Any]) -> set[str]:
    """Returns the kinds of what is wrong with anything that can be drawn of a mapping."""
    broken: list[Problem] = []
    kinds = set()
    for one in samples(parse_tree(value, "", broken)):
        try:
            section.model_validate_json(json.dumps(one), strict=True)
        except ValidationError as error:
            kinds |= {item["type"] for item in error.errors()}
    return kinds | ({"domain"} if broken else set())


@pytest.mark.parametrize(
    ("key", "section", "naming", "searched"),
    list(members()),
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_schema_and_loading_agree_on_every_option(
    key: str, section: type[Section], naming: dict[str, Any], searched: bool
) -> None:
    for option in set(section.model_fields) - set(naming):
        for value in [*VALUES, *(DOMAINS if searched else [])]:
            given = required(section) | naming | {option: value}
            refused, valid = refusals(section, given), VALIDATOR.is_valid({key: given})
            if not refused:
                assert valid, given
            elif refused - {"value_error"}:
                assert not valid, given


def test_every_section_and_option_says_what_it_is() -> None:
    assert set(SCHEMA["properties"]) == set(TOP_LEVEL)
    for name, definition in SCHEMA["$defs"].items():
        if "." not in name.removeprefix("searched."):
            assert definition["description"], name
    magnitude = SCHEMA["$defs"]["searched.Magnitude"]
    assert (
        magnitude["properties"]["ratio"]["description"]
        == PRUNING["magnitude"].model_fields["ratio"].description
    )
    assert magnitude["properties"]["ratio"]["default"] == 0.5
    names = SCHEMA["$defs"]["pruning"]["properties"]["method"]["anyOf"][0]
    assert dict(zip(names["enum"], names["enumDescriptions"], strict=True))["width"].startswith(
        "Cut hidden units, attention heads and feed-forward units together"
    )
