from collections.abc import Sequence
from typing import Any

import pytest

from kdray.config.domains import parse_tree
from kdray.config.search import Search
from kdray.point_checks import search_problems

SPACE = parse_tree(
    {
        "pruning": {
            "method": {"choice": ["none", "magnitude"]},
            "ratio": {"uniform": [0.2, 0.8]},
        },
        "training": {"epochs": {"choice": [2, 4]}, "seed": 0},
    }
)


def told(points: Sequence[Any], sampler: str = "tpe", space: Any = SPACE) -> list[str]:
    search = Search.model_validate({"points": points, "sampler": sampler})
    return [str(problem) for problem in search_problems(space, search)]


WHOLE = {"pruning.method": "magnitude", "pruning.ratio": 0.5, "training.epochs": 2}


@pytest.mark.parametrize("sampler", ["tpe", "none", "nsga2"])
@pytest.mark.parametrize(
    "point",
    [
        WHOLE,
        {"pruning": {"method": "magnitude", "ratio": 0.5}, "training": {"epochs": 2}},
        {"pruning.method": "none", "training.epochs": 4},
    ],
)
def test_a_whole_point_is_right_with_dotted_or_nested_names(point: Any, sampler: str) -> None:
    assert told([point], sampler) == []


def test_a_point_may_leave_values_open_if_something_draws_them() -> None:
    assert told([{}, {"training.epochs": 2}]) == []
    assert told([WHOLE, {"pruning.method": "none"}], "none") == [
        "search.points.1.training.epochs: is left open, and with `sampler: none` nothing else "
        "draws it"
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"pruning.ratio": 0.9},
            "pruning.ratio: must be a number from 0.2 to 0.8, but got 0.9",
        ),
        (
            {"pruning.ratio": "0.5"},
            "pruning.ratio: must be a number from 0.2 to 0.8, but got '0.5'",
        ),
        ({"pruning.ratio": float("inf")}, "pruning.ratio: must be a number from 0.2 to 0.8, but"),
        ({"training.epochs": 3}, "training.epochs: must be one of 2, 4, but got 3"),
        ({"training.epochs": None}, "training.epochs: must be one of 2, 4, but got null"),
        (
            {"pruning.method": "none"},
            "pruning.ratio: is not drawn together with the other values of this point; take it out",
        ),
        (
            {"training.epoch": 2},
            "training.epoch: is no value that is drawn; did you mean 'training.epochs'?",
        ),
        ({"training.seed": 0}, "training.seed: is no value that is drawn; did you mean"),
    ],
)
def test_a_point_outside_the_space_is_told_with_its_place(change: Any, message: str) -> None:
    (found,) = told([WHOLE, WHOLE | change])
    assert found.startswith(f"search.points.1.{message}")


def test_a_point_names_the_option_of_a_choice_of_mappings_by_its_label() -> None:
    options = [{"method": "none"}, {"method": "random", "ratio": {"uniform": [0.1, 0.2]}}]
    space = parse_tree({"pruning": {"choice": options}})
    assert told([{"pruning": "random", "pruning.ratio": 0.15}], "none", space) == []
    (found,) = told([{"pruning": "none", "pruning.ratio": 0.15}], "none", space)
    assert found.startswith("search.points.0.pruning.ratio: is not drawn together")


def test_a_space_without_domains_needs_no_points() -> None:
    space = parse_tree({"training": {"epochs": 2}})
    assert told([], "none", space) == []
    assert told([{"training.epochs": 2}], "none", space) == [
        "search.points.0.training.epochs: is not drawn: the space holds no domain"
    ]


def test_points_only_need_points() -> None:
    assert told([], "none") == ["search.points: is required with `sampler: none`"]


def test_a_grid_refuses_every_continuous_domain_by_its_key() -> None:
    assert told([], "grid") == [
        "pruning.ratio: is continuous, which `sampler: grid` cannot enumerate; use choice"
    ]


def test_a_grid_takes_integers_of_any_number() -> None:
    assert told([], "grid", parse_tree({"training": {"seed": {"randint": [0, 10**12]}}})) == []


def test_an_invalid_search_section_has_been_told_already() -> None:
    assert search_problems(SPACE, None) == []
