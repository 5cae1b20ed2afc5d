from collections.abc import Mapping
from typing import Any

import pytest

from kdray.config.domains import Domain, grid_values, parse_tree, samples
from kdray.config.drawing import Drawn, draw, enumerate_grid, flatten

OPTIONS = {
    "none": frozenset({"method"}),
    "magnitude": frozenset({"method", "ratio", "scope"}),
    "random": frozenset({"method", "ratio"}),
}


def takes(section: str, method: Any) -> frozenset[str] | None:
    return OPTIONS.get(method) if section == "pruning" else None


def drawn(sections: Mapping[str, Any], values: Mapping[str, Any] | None = None) -> Drawn:
    """Draws with values by the sampler's name, the first of its domain for all others."""

    def choose(name: str, path: str, domain: Domain) -> Any:
        first = (grid_values(domain) or samples(domain))[0]
        return (values or {}).get(name, first)

    return draw(parse_tree(sections), choose, takes)


def grid(sections: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [one.parameters for one in enumerate_grid(parse_tree(sections), takes)]


def test_every_value_is_drawn_by_its_dotted_name_and_stands_in_its_section() -> None:
    found = drawn({"training": {"epochs": 3, "rate": {"uniform": [0, 1]}}}, {"training.rate": 0.5})
    assert found.sections == {"training": {"epochs": 3, "rate": 0.5}}
    assert found.parameters == found.choices == {"training.rate": 0.5}


@pytest.mark.parametrize(
    ("method", "section"),
    [
        ("none", {"method": "none"}),
        ("random", {"method": "random", "ratio": 0.2}),
        ("magnitude", {"method": "magnitude", "ratio": 0.2, "scope": "layer"}),
    ],
)
def test_an_option_that_the_drawn_method_does_not_take_is_not_drawn(
    method: str, section: dict[str, Any]
) -> None:
    space = {
        "pruning": {
            "ratio": {"uniform": [0.2, 0.8]},
            "scope": {"choice": ["layer", "global"]},
            "method": {"choice": ["none", "random", "magnitude"]},
        }
    }
    found = drawn(space, {"pruning.method": method})
    assert found.sections["pruning"] == section
    assert found.parameters == {f"pruning.{key}": value for key, value in section.items()}


def test_a_choice_may_hold_mappings_with_domains_inside() -> None:
    space = {"student": {"head": {"choice": ["linear", {"size": {"randint": [8, 65]}}]}}}
    label = "size=an integer from 8 to 64"
    found = drawn(space, {"student.head": label, f"student.head[{label}].size": 32})
    assert found.sections == {"student": {"head": {"size": 32}}}
    assert found.parameters == {"student.head.size": 32}
    assert found.choices == {"student.head": label, f"student.head[{label}].size": 32}


def test_a_whole_section_may_be_a_choice() -> None:
    space = {
        "pruning": {
            "choice": [{"method": "none"}, {"method": "random", "ratio": {"uniform": [0, 0.5]}}]
        }
    }
    assert drawn(space, {"pruning": "none"}).parameters == {"pruning.method": "none"}
    found = drawn(space, {"pruning": "random", "pruning[random].ratio": 0.4})
    assert found.parameters == {"pruning.method": "random", "pruning.ratio": 0.4}


def test_two_options_of_one_choice_may_have_the_same_key_with_different_ranges() -> None:
    low = {"method": "random", "ratio": {"uniform": [0.1, 0.2]}}
    high = {"method": "random", "ratio": {"uniform": [0.8, 0.9]}}
    space = {"pruning": {"choice": [low, high]}}
    first, second = drawn(space, {"pruning": "random"}), drawn(space, {"pruning": "random#2"})
    assert set(first.choices) == {"pruning", "pruning[random].ratio"}
    assert set(second.choices) == {"pruning", "pruning[random#2].ratio"}
    assert set(first.parameters) == set(second.parameters) == {"pruning.method", "pruning.ratio"}
    assert [one.parameters["pruning.ratio"] for one in (first, second)] == [0.1, 0.8]


def test_a_list_of_pruning_mappings_gives_numbered_columns() -> None:
    space = {
        "pruning": [
            {"method": "random", "ratio": {"uniform": [0.1, 0.2]}, "scope": {"choice": [1, 2]}},
            {"method": {"choice": ["none", "magnitude"]}, "ratio": {"uniform": [0.3, 0.4]}},
        ]
    }
    found = drawn(space, {"pruning.1.method": "magnitude"})
    assert found.parameters == {
        "pruning.0.ratio": 0.1,
        "pruning.1.method": "magnitude",
        "pruning.1.ratio": 0.3,
    }


def test_a_grid_yields_every_conditional_combination_exactly_once() -> None:
    space = {
        "pruning": {
            "method": {"choice": ["none", "random", "magnitude"]},
            "ratio": {"quniform": [0.2, 0.6, 0.2]},
            "scope": {"choice": ["layer", "global"]},
        },
        "training": {"seed": {"randint": [0, 2]}, "epochs": 4},
    }
    found = grid(space)
    # (none: 1 + random: 3 ratios + magnitude: 3 ratios x 2 scopes) x 2 seeds
    assert len(found) == (1 + 3 + 6) * 2
    assert len({tuple(sorted(one.items())) for one in found}) == len(found)


def test_a_grid_goes_into_the_mappings_of_a_choice() -> None:
    pair = {"method": "magnitude", "ratio": {"choice": [0.1, 0.2]}, "scope": {"choice": ["a", "b"]}}
    space = {"pruning": {"choice": [{"method": "none"}, pair]}, "training": {"seed": 1}}
    assert grid(space) == [
        {"pruning.method": "none"},
        *[
            {"pruning.method": "magnitude", "pruning.ratio": ratio, "pruning.scope": scope}
            for ratio in (0.1, 0.2)
            for scope in ("a", "b")
        ],
    ]


def test_a_space_without_domains_has_one_combination() -> None:
    assert grid({"training": {"epochs": 1}}) == [{}]


def test_a_grid_refuses_a_continuous_domain_by_its_name() -> None:
    with pytest.raises(ValueError, match=r"^training\.rate$"):
        grid({"training": {"rate": {"uniform": [0, 1]}}})


def test_the_leaves_of_mappings_and_of_lists_of_mappings_have_dotted_names() -> None:
    value = {"a": {"b": 1, "c": [1, 2]}, "d": [{"e": 2}, 3], "f": {}, 4: None}
    assert flatten(value) == {"a.b": 1, "a.c": [1, 2], "d.0.e": 2, "d.1": 3, "f": {}, "4": None}
