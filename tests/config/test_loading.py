from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from kdray.config.loading import Document, parse_document, read_document, with_overrides
from kdray.errors import ConfigError


def parsed(text: str, base: Path = Path("/nowhere")) -> Document:
    return parse_document(dedent(text), "space.yaml", base)


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parsed(text)
    (problem,) = caught.value.problems
    return str(problem)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        (".5", 0.5),
        ("5.", 5.0),
        ("-3", -3),
        ("007", 7),
        (".inf", float("inf")),
        ("-.INF", float("-inf")),
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("y", "y"),
        ("2024-05-01", "2024-05-01"),
        ("12:30:00", "12:30:00"),
        ("1_000", "1_000"),
        ("0x1F", "0x1F"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("'1e-4'", "1e-4"),
        ("[no, 1e3]", ["no", 1000.0]),
    ],
)
def test_values_mean_what_a_person_means(text: str, value: Any) -> None:
    found = parsed(f"key: {text}").content["key"]
    assert found == value
    assert type(found) is type(value)


def test_keys_are_words_too() -> None:
    assert parsed("no: 1\non: 2\n2024-05-01: 3").content == {"no": 1, "on": 2, "2024-05-01": 3}


def test_every_key_has_its_line() -> None:
    found = parsed(
        """\
        training:
          epochs: 3
        pruning:
          - method: none
          - {method: magnitude,
             ratio: 0.5}
        """
    )
    assert found.lines["training.epochs"] == 2
    assert found.lines["pruning.0.method"] == 4
    assert found.lines["pruning.1.ratio"] == 6


def test_a_problem_has_the_line_of_its_key_or_of_the_nearest_parent() -> None:
    found = parsed("training:\n  epochs: 3\n")
    assert str(found.problem("training.epochs", "is wrong")) == "line 2: training.epochs: is wrong"
    assert str(found.problem("training.rate.0", "is wrong")) == "line 1: training.rate.0: is wrong"
    assert str(found.problem("student", "is wrong")) == "student: is wrong"


def test_anchors_and_merges_are_read() -> None:
    found = parsed("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [*a], x: 4}")
    assert found.content["b"] == {"x": 1, "y": 3}
    assert found.content["c"] == {"x": 4, "y": 2}
    assert not found.problems


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: {c: 2\nd: 3\n", "line 3: space.yaml: is no YAML: "),
        ("a: 1\n\tb: 2\n", "line 2: space.yaml: is no YAML: "),
        ("a: *missing\n", "line 1: space.yaml: is no YAML: found undefined alias"),
        ("a: &a [*a]\n", "line 1: space.yaml: is no YAML: an alias holds itself"),
        ("a: !!python/object:os.system 3\n", "line 1: space.yaml: is no YAML: could not"),
        ("{[1]: 2}\n", "line 1: space.yaml: is no YAML: found unhashable key"),
        ("a: 1\n---\nb: 2\n", "line 2: space.yaml: is no YAML: "),
        ("a: \x00\n", "space.yaml: is no YAML: unacceptable character"),
        ("- 1\n- 2\n", "space.yaml: must be a mapping of sections"),
        ("just words\n", "space.yaml: must be a mapping of sections"),
        ("", "space.yaml: must be a mapping of sections"),
    ],
)
def test_a_file_that_holds_no_mapping_is_told_with_its_line(text: str, message: str) -> None:
    assert refused(text).startswith(message)


def test_a_key_that_stands_twice_is_kept_to_be_told_with_everything_else() -> None:
    found = parsed(
        """\
        training:
          epochs: 3
          epochs: 4
        search: {trials: 1}
        search: {trials: 2, points: [{a: 1, a: 2}]}
        """
    )
    assert [str(problem) for problem in found.problems] == [
        "line 3: training.epochs: stands twice; keep one of them",
        "line 5: search: stands twice; keep one of them",
    ]


def test_the_same_key_may_stand_in_two_mappings() -> None:
    assert not parsed("a: [{x: 1}, {x: 2}]\nb: {x: 3}").problems


def test_a_file_is_read_with_its_folder_as_the_base(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_bytes("\ufeffname: ভালো\n".encode())
    found = read_document(file)
    assert found.content == {"name": "ভালো"}
    assert found.base == tmp_path
    assert found.source == str(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read: No such file or directory"), (b"a: \xff\n", "is not UTF-8: ")],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    file = tmp_path / "space.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_document(file)
    assert str(caught.value.problems[0]).startswith(f"{file}: {message}")


TENS = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30))
MERGED = "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 30))


@pytest.mark.parametrize("text", ["a0: &a0 [1]\n" + TENS, "a0: &a0 {x: 1}\n" + MERGED])
def test_a_file_whose_aliases_multiply_is_refused_before_they_do(text: str) -> None:
    assert refused(text) == (
        "line 6: space.yaml: is no YAML: "
        "stands for more than 100,000 values or 50 levels, with aliases"
    )


def test_an_alias_may_stand_for_what_it_repeats() -> None:
    assert parsed("a: &a {b: 1}\nc: *a\nd: {<<: *a, e: 2}").content == {
        "a": {"b": 1},
        "c": {"b": 1},
        "d": {"b": 1, "e": 2},
    }


CHAIN = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 3000))


@pytest.mark.parametrize("text", ["a: " + "[" * 60 + "]" * 60, "a: " + "[" * 5000, CHAIN])
def test_a_file_that_is_nested_too_deep_is_refused(text: str) -> None:
    assert "50 levels" in refused(text)


@pytest.mark.parametrize(
    "value",
    ["!!python/object/apply:os.system ['exit']", "!!python/name:os.system", "!!timestamp x"],
)
def test_a_tag_is_refused_and_nothing_is_made_of_it(value: str) -> None:
    assert "could not determine a constructor for the tag" in refused(f"a: {value}")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("!!bool x", "'x' is neither true nor false"),
        ("!!int x", "invalid literal"),
        ("*b", "alias"),
    ],
)
def test_a_value_that_cannot_be_made_is_told(value: str, reason: str) -> None:
    assert reason in refused(f"a: {value}")


def test_an_assignment_whose_aliases_hold_themselves_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--set: .* an alias holds itself"):
        overridden("a: 1", "a=[&x [*x]]")


def overridden(text: str, *assignments: str) -> dict[str, Any]:
    return with_overrides(parsed(text), assignments).content


@pytest.mark.parametrize(
    ("assignment", "content"),
    [
        ("a.b=2", {"a": {"b": 2}, "l": [{"r": 1}, 5]}),
        ("a.c.d=x=y", {"a": {"b": 1, "c": {"d": "x=y"}}, "l": [{"r": 1}, 5]}),
        ("n.m=1e-3", {"a": {"b": 1}, "l": [{"r": 1}, 5], "n": {"m": 1e-3}}),
        ("a={choice: [no, 1]}", {"a": {"choice": ["no", 1]}, "l": [{"r": 1}, 5]}),
        ("a=", {"a": None, "l": [{"r": 1}, 5]}),
        ("l.0.r=7", {"a": {"b": 1}, "l": [{"r": 7}, 5]}),
        ("l.1=7", {"a": {"b": 1}, "l": [{"r": 1}, 7]}),
    ],
)
def test_an_assignment_is_put_in_as_yaml(assignment: str, content: dict[str, Any]) -> None:
    assert overridden("a: {b: 1}\nl: [{r: 1}, 5]", assignment) == content


def test_assignments_follow_each_other_and_leave_the_document_as_it_is() -> None:
    document = parsed("a: {b: 1}")
    assert with_overrides(document, ["a.c=2", "a.c=3"]).content == {"a": {"b": 1, "c": 3}}
    assert document.content == {"a": {"b": 1}}


def test_an_assignment_goes_below_null_and_replaces_keys_that_are_numbers() -> None:
    assert overridden("a:\nm: {2: 1}", "a.b=1", "m.2=3") == {"a": {"b": 1}, "m": {2: 3}}


def test_wrong_assignments_are_told_all_at_once_with_the_reason() -> None:
    wrong = ["a", "=1", "a..b=1", "a.b.c=1", "l.1=1", "l.-1=1", "l.x=1", "a={", "a.b=2"]
    with pytest.raises(ConfigError) as caught:
        overridden("a: {b: 1}\nl: [1]", *wrong)
    assert [str(problem) for problem in caught.value.problems] == [
        "--set: 'a' cannot be set: it takes key=value",
        "--set: '=1' cannot be set: it takes key=value",
        "--set: 'a..b=1' cannot be set: it takes key=value",
        "--set: 'a.b.c=1' cannot be set: 'c' cannot stand below the value 1",
        "--set: 'l.1=1' cannot be set: '1' is no place in a list of 1",
        "--set: 'l.-1=1' cannot be set: '-1' is no place in a list of 1",
        "--set: 'l.x=1' cannot be set: 'x' is no place in a list of 1",
        "--set: 'a={' cannot be set: expected the node content, but found '<stream end>'",
    ]


def test_what_the_command_line_sets_has_no_line_in_the_file() -> None:
    document = with_overrides(parsed("a:\n  b: {c: 1}\n  d: 2\n"), ["a.b=3"])
    assert str(document.problem("a.b", "is wrong")) == "a.b: is wrong"
    assert str(document.problem("a.b.c", "is wrong")) == "a.b.c: is wrong"
    assert str(document.problem("a.d", "is wrong")) == "line 3: a.d: is wrong"


@pytest.mark.parametrize("key", ["data.train", "data.validation", "data.test"])
def test_a_data_file_of_the_command_line_starts_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.chdir(tmp_path)
    section, name = key.split(".")
    assert overridden("a: 1", f"{key}=x.csv")[section] == {name: str(tmp_path / "x.csv")}
    assert overridden("a: 1", f"data={{{name}: x.csv}}")["data"] == {name: str(tmp_path / "x.csv")}


@pytest.mark.parametrize("key", ["data.name", "teacher.model", "student.initial"])
def test_a_folder_of_the_command_line_is_a_path_if_it_is_there_and_else_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    section, name = key.split(".")
    assert overridden("a: 1", f"{key}=here")[section] == {name: str(tmp_path / "here")}
    assert overridden("a: 1", f"{key}=org/model")[section] == {name: "org/model"}
