"""What a sweep goes on with, read back from its folder; a real one is in test_sweeps."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from kdray.changes import free_values
from kdray.commands.resuming import Asked, changes, going_on
from kdray.errors import ConfigError
from kdray.loading import load_sweep_config
from kdray.locations import past_config
from kdray.results.folder import SweepFolder, write_text
from tests.tiny_sweep import write_space


def begun(place: Path, *overrides: str, profile: Path | None = None, **space: Any) -> SweepFolder:
    """The folder of a sweep as far as its `sweep.yaml`."""
    config = load_sweep_config(write_space(place, **space), overrides, profile)
    folder = SweepFolder(place / "runs" / "tiny")
    source = {**config.source, "free": free_values(config)}
    content = {"config": dict(config.content), "base": str(config.base), "source": source}
    write_text(folder.sweep_yaml, yaml.safe_dump(content))
    return folder


def rewritten(folder: SweepFolder, key: str, **values: Any) -> None:
    """Changes what `sweep.yaml` says of the configuration, as an earlier resume would."""
    content = yaml.safe_load(folder.sweep_yaml.read_text())
    content["config"][key] |= values
    write_text(folder.sweep_yaml, yaml.safe_dump(content))


def profile(place: Path, text: str) -> Path:
    path = place / "profile.yaml"
    path.write_text(text)
    return path


def test_without_a_wish_a_sweep_goes_on_as_it_was(tmp_path: Path) -> None:
    folder = begun(tmp_path)
    found, before = going_on(folder, Asked()), past_config(folder)
    assert found.content == before.content
    assert changes(before, found) == ""


def test_what_may_change_is_taken_from_the_file_as_it_is_now(tmp_path: Path) -> None:
    folder = begun(tmp_path, resources={"gpus_per_trial": 2})
    write_space(tmp_path, resources={"gpus_per_trial": 1}, search={"trials": 9}, name="renamed")
    found = going_on(folder, Asked())
    assert (found.resources.gpus_per_trial, found.search.trials, found.name) == (1, 9, "tiny")
    assert found.source["free"]["search.trials"] == 9
    told = "search.trials from 3 to 9, resources.gpus_per_trial from 2.0 to 1.0"
    assert changes(past_config(folder), found) == told


def test_what_a_file_said_all_along_takes_back_nothing_of_an_earlier_resume(tmp_path: Path) -> None:
    folder = begun(tmp_path)
    rewritten(folder, "search", trials=48)
    assert going_on(folder, Asked()).search.trials == 48


def test_a_file_that_has_changed_is_not_looked_at_as_begun(tmp_path: Path) -> None:
    folder = begun(tmp_path)
    write_space(tmp_path, search={"trials": 9}, training={"epochs": 5})
    assert going_on(folder, Asked(["search.trials=4"], as_begun=True)).search.trials == 4


def test_the_command_line_wins_over_the_profile_and_that_over_the_file(tmp_path: Path) -> None:
    folder = begun(tmp_path)
    resources = {"cpus_per_trial": 1, "gpus_per_trial": 1, "max_concurrent_trials": 1}
    write_space(tmp_path, resources=resources)
    where = profile(tmp_path, "resources: {cpus_per_trial: 2, gpus_per_trial: 2}\noutput: /there")
    found = going_on(folder, Asked(["resources.cpus_per_trial=3"], where)).resources
    assert (found.cpus_per_trial, found.gpus_per_trial, found.max_concurrent_trials) == (3, 2, 1)


def test_a_new_profile_wins_over_the_command_line_that_a_sweep_began_with(tmp_path: Path) -> None:
    folder = begun(tmp_path, "resources.gpus_per_trial=2")
    where = profile(tmp_path, "resources: {gpus_per_trial: 1}")
    assert going_on(folder, Asked(profile=where)).resources.gpus_per_trial == 1


def test_a_profile_that_is_gone_takes_nothing_back(tmp_path: Path) -> None:
    where = profile(tmp_path, "resources: {gpus_per_trial: 2}")
    folder = begun(tmp_path, profile=where)
    where.unlink()
    assert going_on(folder, Asked()).resources.gpus_per_trial == 2


def test_a_sweep_of_an_earlier_version_takes_from_its_file_only_what_is_asked(
    tmp_path: Path,
) -> None:
    folder = begun(tmp_path)
    content = yaml.safe_load(folder.sweep_yaml.read_text())
    del content["source"]["free"]
    write_text(folder.sweep_yaml, yaml.safe_dump(content))
    write_space(tmp_path, search={"trials": 9})
    assert going_on(folder, Asked()).search.trials == 3


@pytest.mark.parametrize("key", ["training.epochs", "search", "search.sampler", "name", "teacher"])
def test_what_is_searched_or_measured_may_not_be_set(tmp_path: Path, key: str) -> None:
    folder = begun(tmp_path)
    with pytest.raises(ConfigError) as caught:
        going_on(folder, Asked([f"{key}=5", "search.trials=9"]))
    (problem,) = caught.value.problems
    assert problem.where == key
    for word in ("may not change", "resources, tracking, search.trials", "`kdray sweep`"):
        assert word in problem.message


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("search.trials", "it takes key=value"),
        ("resources.cpus=2", "did you mean 'cpus_per_trial'"),
        ("search.keep=some", "search.keep: must be 'front', 'all' or 'none'"),
    ],
)
def test_what_is_set_wrongly_is_told(tmp_path: Path, assignment: str, message: str) -> None:
    folder = begun(tmp_path)
    with pytest.raises(ConfigError, match=message):
        going_on(folder, Asked([assignment]))


def test_a_profile_that_sets_what_is_searched_is_refused(tmp_path: Path) -> None:
    folder = begun(tmp_path)
    where = profile(tmp_path, "training: {epochs: 5}")
    with pytest.raises(ConfigError, match="training: a profile sets only"):
        going_on(folder, Asked(profile=where))
