from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from kdray.config.search import Search
from kdray.config.sections import Student, Training
from kdray.config.validation import Section, checked, dotted, nearest, shown, within


class Sample(Section):
    count: int = Field(1, ge=1, le=3)
    share: float = Field(0.5, gt=0, lt=1)
    name: str = "x"
    flag: bool = True
    kind: Literal["auto", "none"] | list[Annotated[float, Field(gt=0)]] = "auto"
    pairs: dict[Annotated[int, Field(ge=1)], int] = Field({1: 1}, min_length=1)
    inner: Training | None = None


def told(value: Any, section: type[Section] = Sample) -> list[str]:
    found, problems = checked(section, value, "top")
    assert found is None
    return [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"count": "3"}, "top.count: must be an integer, but got '3'; write it without quotes"),
        ({"count": 2.5}, "top.count: must be an integer, but got 2.5"),
        ({"count": True}, "top.count: must be an integer, but got true"),
        ({"count": None}, "top.count: must be an integer, but got null"),
        ({"count": 0}, "top.count: must be at least 1, but got 0"),
        ({"count": 4}, "top.count: must be at most 3, but got 4"),
        ({"share": "1e-3"}, "top.share: must be a number, but got '1e-3'; write it without quotes"),
        ({"share": "half"}, "top.share: must be a number, but got 'half'"),
        ({"share": False}, "top.share: must be a number, but got false"),
        ({"share": float("nan")}, "top.share: must be a finite number, but got nan"),
        ({"share": 0}, "top.share: must be greater than 0, but got 0"),
        ({"share": 1}, "top.share: must be less than 1, but got 1"),
        ({"name": 3}, "top.name: must be text, but got 3"),
        ({"flag": "yes"}, "top.flag: must be true or false, but got 'yes'"),
        ({"flag": 1}, "top.flag: must be true or false, but got 1"),
        (
            {"kind": "aoto"},
            "top.kind: must be 'auto' or 'none' or a list, but got 'aoto'; did you mean 'auto'?",
        ),
        ({"kind": [1, -2]}, "top.kind.1: must be greater than 0, but got -2"),
        ({"pairs": 3}, "top.pairs: must be a mapping, but got 3"),
        ({"pairs": {}}, "top.pairs: must be at least 1 long, but got {}"),
        ({"pairs": {0: 1}}, "top.pairs.0: its key must be at least 1, but got '0'"),
        ({"pairs": {2: "a"}}, "top.pairs.2: must be an integer, but got 'a'"),
        ({"inner": 3}, "top.inner: must be a mapping, but got 3"),
        ({"inner": {"epochs": 0}}, "top.inner.epochs: must be at least 1, but got 0"),
        ({"inner": {"epoch": 2}}, "top.inner.epoch: unknown key; did you mean 'epochs'?"),
        ({"shore": 1}, "top.shore: unknown key; did you mean 'share'?"),
        (3, "top: must be a mapping, but got 3"),
        ({"name": {1, 2}}, "top: holds a value that YAML cannot express: {'name': {1, 2}}"),
    ],
)
def test_a_wrong_value_is_told_with_its_key_the_rule_and_what_was_found(
    value: Any, message: str
) -> None:
    assert told(value) == [message]


def test_all_problems_are_told_at_once() -> None:
    assert len(told({"count": 0, "share": 2, "flag": 3, "foo": 1})) == 4


def test_an_unknown_word_that_resembles_nothing_gets_the_list_of_all() -> None:
    assert nearest("zzz", ["b", "a"]) == "; known: a, b"
    assert nearest(3, ["b", "a"]) == "; known: a, b"
    assert nearest("zzz", []) == ""


def test_the_beginning_of_a_word_is_enough_to_name_it() -> None:
    assert nearest("cpus", ["cpus_per_trial", "gpus"]) == "; did you mean 'cpus_per_trial'?"


def test_a_whole_number_is_a_number() -> None:
    section, problems = checked(Training, {"weight_decay": 0, "learning_rate": 1}, "training")
    assert not problems
    assert section is not None
    assert section.learning_rate == 1.0


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        ("tpee", "top.sampler: no such sampler: 'tpee'; did you mean 'tpe'?"),
        (3, "top.sampler: must be a mapping, but got 3"),
        ({"name": "tpe", "startup": 3}, "top.sampler.startup: unknown key; did you mean"),
        (
            {"name": "tpe", "population_size": 3},
            "top.sampler.population_size: unknown key; known: name, startup_trials",
        ),
        ({"startup_trials": 3}, "top.sampler: must be a name, or a mapping with a `name`, but got"),
    ],
)
def test_a_sampler_is_checked_against_its_own_options(sampler: Any, message: str) -> None:
    (found,) = told({"sampler": sampler}, Search)
    assert found.startswith(message)


def test_a_sampler_may_be_a_name_or_a_mapping() -> None:
    for sampler in ("nsga2", {"name": "nsga2"}):
        section, _ = checked(Search, {"sampler": sampler}, "search")
        assert section is not None
        assert section.sampler.name == "nsga2"


@pytest.mark.parametrize(
    ("student", "message"),
    [
        ({"initial": "scratch"}, "top: `architecture` goes with `initial: scratch`, and only"),
        ({"architecture": {}}, "top: `architecture` goes with `initial: scratch`, and only"),
        (
            {"initial": "scratch", "architecture": {}, "embeddings": "frozen"},
            "top: `embeddings: frozen` would keep random ones with `initial: scratch`",
        ),
        (
            {"initial": "scratch", "architecture": {}, "layers": 2},
            "top: `layers` is given twice; with scratch only `architecture.layers`",
        ),
        (
            {"initial": "scratch", "architecture": {"hidden_size": 10, "heads": 3}},
            "top.architecture: hidden_size must be a multiple of heads, "
            "but got hidden_size=10, heads=3",
        ),
        ({"initial": "teacher_layer"}, "top.initial: no such start: 'teacher_layer'; did you mean"),
        ({"weights": "float23"}, "top.weights: must be 'float32', 'float16' or 'int8', but"),
    ],
)
def test_a_student_that_cannot_start_is_refused(student: Any, message: str) -> None:
    (found,) = told(student, Student)
    assert found.startswith(message)


def test_keys_are_joined_with_dots() -> None:
    assert dotted("a", "b", 0) == "a.b.0"
    assert dotted("", "b") == "b"
    assert within("a.b", "a")
    assert within("a", "a")
    assert not within("ab", "a")


@pytest.mark.parametrize(
    ("value", "text"), [(None, "null"), (True, "true"), ("x", "'x'"), (1, "1"), ([1], "[1]")]
)
def test_values_are_shown_as_in_yaml(value: Any, text: str) -> None:
    assert shown(value) == text
