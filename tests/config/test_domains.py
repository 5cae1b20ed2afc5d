import math
from typing import Any

import pytest

from kdray.config.domains import (
    Choice,
    Domain,
    DomainError,
    Range,
    contains,
    describe,
    domains_in,
    grid_values,
    parse_tree,
    samples,
)
from kdray.errors import Problem


@pytest.mark.parametrize(
    ("written", "parsed"),
    [
        ({"choice": [1, "a", None]}, Choice((1, "a", None))),
        ({"uniform": [0, 1]}, Range(0.0, 1.0)),
        ({"loguniform": [1e-4, 1e-2]}, Range(1e-4, 1e-2, log=True)),
        ({"quniform": [0, 1, 0.25]}, Range(0.0, 1.0, 0.25)),
        ({"randint": [2, 5]}, Range(2, 4, 1, integer=True)),
        ({"lograndint": [1, 100]}, Range(1, 99, 1, log=True, integer=True)),
    ],
)
def test_every_domain_is_parsed(written: Any, parsed: Domain) -> None:
    assert parse_tree(written) == parsed


def test_the_upper_bound_of_randint_is_excluded_as_in_ray_tune() -> None:
    domain = parse_tree({"randint": [1, 4]})
    assert list(grid_values(domain) or ()) == samples(domain) == [1, 2, 3]
    assert not contains(domain, 4)


def test_a_stepped_range_ends_on_its_last_step() -> None:
    assert parse_tree({"quniform": [0, 1, 0.3]}) == Range(0.0, 0.9, 0.3)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"choice": []}, "choice takes a list of one or more options, but got []"),
        ({"choice": "a"}, "choice takes a list of one or more options, but got 'a'"),
        ({"choice": [1, 2, 1]}, "choice holds 1 twice"),
        ({"choice": [{"a": 1}, {"a": 1}]}, "choice holds {'a': 1} twice"),
        ({"uniform": 3}, "uniform takes [low, high], but got 3"),
        ({"uniform": [1]}, "uniform takes [low, high], but got [1]"),
        ({"uniform": ["0", 1]}, "uniform takes [low, high] as numbers, but got ['0', 1]"),
        ({"uniform": [True, 2]}, "uniform takes [low, high] as numbers, but got [True, 2]"),
        ({"uniform": [2, 1]}, "uniform needs low < high, but got [2, 1]"),
        ({"uniform": [0, math.inf]}, "uniform takes finite numbers, but got [0, inf]"),
        ({"uniform": [math.nan, 1]}, "uniform takes finite numbers, but got [nan, 1]"),
        ({"loguniform": [0, 1]}, "loguniform needs low > 0, but got [0, 1]"),
        ({"quniform": [0, 1]}, "quniform takes [low, high, step], but got [0, 1]"),
        ({"quniform": [0, 1, 2]}, "quniform needs 0 < step <= high - low, but got [0, 1, 2]"),
        ({"randint": [0.5, 2]}, "randint takes integers, but got [0.5, 2]"),
        ({"randint": [3, 3]}, "randint needs low < high, but got [3, 3]"),
        ({"lograndint": [0, 3]}, "lograndint needs low > 0, but got [0, 3]"),
        ({"uniforn": [0, 1]}, "no such domain: 'uniforn'; did you mean 'uniform'?"),
        (
            {"uniform": [0, 1], "step": 2},
            "a domain is a mapping with one key, but got uniform, step",
        ),
    ],
)
def test_a_domain_that_breaks_its_rule_is_told_with_the_rule_and_the_value(
    written: Any, message: str
) -> None:
    with pytest.raises(DomainError) as caught:
        parse_tree(written)
    assert str(caught.value) == message


def test_every_broken_domain_is_collected_and_left_out() -> None:
    problems: list[Problem] = []
    tree = {
        "a": {"uniform": [2, 1]},
        "b": [{"choice": []}, {"randint": [0, 2]}],
        "c": {"choice": [{"x": {"uniform": 1}}, {"x": 2}]},
        "d": 4,
    }
    parsed = parse_tree(tree, "top", problems)
    assert [problem.where for problem in problems] == ["top.a", "top.b.0", "top.c.x"]
    assert parsed == {
        "b": [{}, Range(0, 1, 1, integer=True)],
        "c": Choice(({}, {"x": 2})),
        "d": 4,
    }


def test_a_choice_of_mappings_is_labelled_by_method_or_name_or_content() -> None:
    choice = parse_tree(
        {
            "choice": [
                {"method": "magnitude", "ratio": 0.1},
                {"name": "tpe"},
                {"ratio": {"uniform": [0, 1]}},
                ["a", "b"],
                None,
            ]
        }
    )
    assert choice.labels == ("magnitude", "tpe", "ratio=a number from 0 to 1", "[a,b]", None)


def test_options_of_the_same_name_have_labels_of_their_own() -> None:
    ratios = [{"method": "magnitude", "ratio": ratio} for ratio in (0.1, 0.2, 0.3)]
    choice = Choice((*ratios, "magnitude#2"))
    assert choice.labels == ("magnitude", "magnitude#2", "magnitude#3", "magnitude#2#2")
    assert [choice.option(label) for label in choice.labels] == list(choice.options)


def test_one_and_true_are_different_options() -> None:
    choice = parse_tree({"choice": [1, True]})
    assert [choice.option(label) for label in choice.labels] == [1, True]
    assert contains(choice, 1)
    assert not contains(choice, False)


def test_samples_touch_every_option_bound_and_short_integer_range() -> None:
    tree = {
        "a": Choice(("x", {"inner": Range(0.0, 1.0)})),
        "b": Range(1, 3, 1, integer=True),
        "c": Range(1, 10_000, 1, integer=True),
        "d": [Range(5.0, 6.0), "fixed"],
    }
    found = samples(tree)
    assert [row["a"] for row in found[:3]] == ["x", {"inner": 0.0}, {"inner": 1.0}]
    assert {row["b"] for row in found} == {1, 2, 3}
    assert {row["c"] for row in found} == {1, 10_000}
    assert {tuple(row["d"]) for row in found} == {(5.0, "fixed"), (6.0, "fixed")}


def test_each_sample_differs_from_the_first_in_one_place() -> None:
    tree = {"a": Choice((1, 2, 3)), "b": Choice((1, 2)), "c": Choice((1, 2))}
    first, *others = samples(tree)
    assert len(others) == 2 + 1 + 1
    assert all(sum(first[key] != row[key] for key in tree) == 1 for row in others)


def test_samples_are_combined_where_two_values_have_a_rule_together() -> None:
    tree = {"a": {"b": Choice((1, 2, 3)), "c": Choice((4, 5))}}
    together = [(row["a"]["b"], row["a"]["c"]) for row in samples(tree, together=6)]
    assert together == [(1, 4), (1, 5), (2, 4), (2, 5), (3, 4), (3, 5)]
    assert len(samples(tree, together=5)) == 4


@pytest.mark.parametrize(
    ("domain", "inside", "outside"),
    [
        (Range(0.0, 1.0), [0, 1, 0.5], [-0.1, 1.1, "0.5", None, True, math.nan, math.inf]),
        (Range(1, 3, 1, integer=True), [1, 3, 2.0], [0, 4, 1.5, math.inf]),
        (Range(0.0, 0.9, 0.3), [0, 0.3, 0.6, 0.9], [0.2, 0.31]),
        (Choice(("a", 0.5, None)), ["a", 0.5, None], ["b", 1, False]),
        (Choice((1.0, 2.0)), [1, 1.0], [True, "1.0"]),
    ],
)
def test_a_domain_contains_what_can_be_drawn_from_it(
    domain: Domain, inside: list[Any], outside: list[Any]
) -> None:
    assert all(contains(domain, value) for value in inside)
    assert not any(contains(domain, value) for value in outside)


@pytest.mark.parametrize(
    ("domain", "values"),
    [
        (Choice(("a", 2)), ["a", 2]),
        (Range(0.0, 0.9, 0.3), [0.0, 0.3, 0.6, 0.9]),
        (Range(0.1, 0.3, 0.1), [0.1, 0.2, 0.3]),
        (Range(1, 3, 1, log=True, integer=True), [1, 2, 3]),
    ],
)
def test_a_grid_holds_every_value_of_a_domain(domain: Domain, values: list[Any]) -> None:
    assert list(grid_values(domain) or ()) == values


def test_a_continuous_domain_has_no_grid() -> None:
    assert grid_values(Range(0.0, 1.0)) is None
    assert grid_values(Range(0.1, 1.0, log=True)) is None


def test_the_values_of_a_huge_range_of_integers_take_no_memory() -> None:
    values = grid_values(parse_tree({"randint": [0, 10**12]}))
    assert values is not None
    assert len(values) == 10**12


def test_domains_are_found_by_their_dotted_names() -> None:
    tree = {
        "a": {"b": Range(0.0, 1.0)},
        "c": [{"d": Choice((1, 2))}],
        "e": Choice(({"f": Range(0.0, 1.0)}, None)),
    }
    assert [name for name, _ in domains_in(tree)] == ["a.b", "c.0.d", "e", "e.f"]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ({"choice": ["a", 2, None]}, "one of a, 2, None"),
        ({"uniform": [0, 1]}, "a number from 0 to 1"),
        ({"loguniform": [1e-4, 1]}, "a number from 0.0001 to 1, drawn by its logarithm"),
        ({"quniform": [0, 1, 0.5]}, "a number from 0 to 1 in steps of 0.5"),
        ({"randint": [0, 3]}, "an integer from 0 to 2"),
    ],
)
def test_a_domain_is_described_in_plain_english(written: Any, text: str) -> None:
    assert describe(parse_tree(written)) == text
