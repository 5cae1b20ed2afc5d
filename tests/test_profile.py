from pathlib import Path

import pytest

from kdray.errors import ConfigError
from kdray.loading import load_sweep_config
from kdray.profile import profile_output, with_profile
from tests.spaces import document

PROFILE = """\
resources: {cpus_per_trial: 2}
tracking: {uri: http://host:5000}
search: {time_budget_s: 60}
output: /shared/runs
"""


def test_a_profile_wins_over_the_space_and_keeps_what_it_does_not_set() -> None:
    space = document("search: {trials: 3, time_budget_s: 9}\nresources: {gpus_per_trial: 1}")
    found = with_profile(space, document(PROFILE)).content
    assert found["search"] == {"trials": 3, "time_budget_s": 60}
    assert found["resources"] == {"gpus_per_trial": 1, "cpus_per_trial": 2}
    assert found["tracking"] == {"uri": "http://host:5000"}
    assert "output" not in found


def test_the_command_line_wins_over_the_profile(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("search: {time_budget_s: 9}\n")
    (tmp_path / "profile.yaml").write_text(PROFILE)
    paths = tmp_path / "space.yaml", tmp_path / "profile.yaml"
    assert load_sweep_config(paths[0], profile=paths[1]).search.time_budget_s == 60
    config = load_sweep_config(paths[0], ["search.time_budget_s=30"], paths[1])
    assert config.search.time_budget_s == 30


def test_a_profile_names_the_output_folder() -> None:
    assert profile_output(document(PROFILE)) == "/shared/runs"
    assert profile_output(document("resources: {}")) is None
    with pytest.raises(ConfigError, match="line 1: output: must be a folder, but got 3"):
        profile_output(document("output: 3"))


@pytest.mark.parametrize("text", ["resources:\nsearch: null", "search: {}"])
def test_a_profile_may_leave_sections_empty(text: str) -> None:
    assert with_profile(document("name: x"), document(text)).content["name"] == "x"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "training: {epochs: 1}",
            "training: a profile sets only resources, tracking, search, output",
        ),
        ("resource: {}", "resource: a profile sets only resources, tracking, search, output; did"),
        ("3: 4", "3: a profile sets only resources"),
        ("search: {trials: 3}", "search.trials: a profile sets only search.time_budget_s"),
        ("search: {trails: 3}", "search.trails: a profile sets only search.time_budget_s"),
        ("search: {time_budget_s: 0}", "search.time_budget_s: must be greater than 0, but got 0"),
        ("search: 3", "search: must be a mapping, but got 3"),
        ("resources: many", "resources: must be a mapping, but got 'many'"),
        ("resources: {cpus: 2}", "resources.cpus: unknown key; did you mean 'cpus_per_trial'?"),
        ("output: [a]", "output: must be a folder, but got ['a']"),
        ("output: a\noutput: b", "output: stands twice; keep one of them"),
    ],
)
def test_a_profile_that_sets_more_than_it_may_is_refused_in_its_own_name(
    text: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        with_profile(document("name: x"), document(text))
    (problem,) = caught.value.problems
    assert message in str(problem)
    assert problem.line == text.count("\n") + 1


def test_all_problems_of_a_profile_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        with_profile(document("name: x"), document("seed: 1\nsearch: {trials: 1}\noutput: 3"))
    assert len(caught.value.problems) == 3


def test_a_space_that_is_wrong_is_told_although_there_is_a_profile(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("resources: 3\n")
    (tmp_path / "profile.yaml").write_text(PROFILE)
    with pytest.raises(ConfigError, match="line 1: resources: must be a mapping, but got 3"):
        load_sweep_config(tmp_path / "space.yaml", profile=tmp_path / "profile.yaml")
