from typing import Annotated, Any, Literal

from jsonschema import Draft202012Validator
from pydantic import Field

from kdray.config.json_schema import or_domain, section_schemas
from kdray.config.validation import Section


class Inner(Section):
    """A section in a section."""

    size: int = Field(2, ge=1, description="How many.")


class Fast(Section):
    """One way."""

    name: Literal["fast"] = "fast"
    speed: float = 1.0


class Slow(Section):
    """Another way."""

    name: Literal["slow"] = "slow"


class Outer(Section):
    """A section."""

    share: float = Field(0.5, ge=0, lt=1, description="Of all.")
    names: list[str] = Field(default_factory=lambda: ["a"])
    layers: dict[int, int] = Field(default_factory=dict)
    inner: Inner | None = None
    way: Annotated[Fast | Slow, Field(discriminator="name")] = Field(default_factory=Fast)


def takes(searchable: bool, **values: Any) -> bool:
    refs, definitions = section_schemas([Outer], searchable)
    validator = Draft202012Validator({**refs[Outer], "$defs": definitions})
    return bool(validator.is_valid(values))


def test_a_searchable_section_takes_a_domain_at_any_depth() -> None:
    inner = {"inner": {"size": {"randint": [1, 3]}}}
    for values in ({"share": {"uniform": [0, 0.5]}}, inner, {"inner": {"choice": [None, {}]}}):
        assert takes(True, **values)
        assert not takes(False, **values)
    assert takes(True, inner={"choice": [None, {"size": {"choice": [1, {"randint": [2, 9]}]}}]})
    assert takes(True, names={"choice": [["a"], ["a", {"choice": ["b", "c"]}]]})


def test_a_domain_draws_what_the_option_takes() -> None:
    assert not takes(True, share={"uniform": [0.5, 1.0]})
    assert not takes(True, share={"uniform": [0.5]})
    assert not takes(True, share={"loguniform": [0, 0.5]})
    assert not takes(True, share={"uniform": [0, 0.5], "choice": [0.1]})
    assert not takes(True, share={"unifrm": [0, 0.5]})
    assert not takes(True, share={"choice": [0.1, 0.1]})
    assert not takes(True, share={"choice": []})
    assert not takes(True, names={"uniform": [0, 1]})
    assert not takes(True, inner={"size": {"uniform": [1, 2]}})
    assert takes(True, share={"quniform": [0, 0.5, 0.25]})
    assert not takes(True, share={"quniform": [0, 0.5, 0]})


def test_what_is_chosen_by_its_name_may_stand_as_the_name() -> None:
    assert takes(False, way="fast")
    assert takes(False, way={"name": "fast", "speed": 2})
    assert not takes(False, way={"name": "slow", "speed": 2})
    assert not takes(False, way={"speed": 2})
    assert not takes(False, way="faster")


def test_keys_that_are_numbers_are_digits() -> None:
    assert takes(False, layers={"4": 2})
    assert not takes(False, layers={"four": 2})


def test_options_have_their_description_and_default_also_from_a_factory() -> None:
    _, definitions = section_schemas([Outer], True)
    options = definitions["searched.Outer"]["properties"]
    assert options["share"]["description"] == "Of all."
    assert options["share"]["default"] == 0.5
    assert options["names"]["default"] == ["a"]
    assert "title" not in options["share"]


def test_a_value_without_a_number_in_it_is_chosen_only() -> None:
    domain = or_domain({"enum": ["a"]}, "#/x")["anyOf"][-1]
    assert list(domain["properties"]) == ["choice"]
