from pathlib import Path
from typing import Any

import pytest

from kdray.errors import ConfigError
from kdray.results.folder import SweepFolder
from kdray.tracking.registry import register_student
from tests.tracking.recorded import client, finish, models, prepared, summary, write_student


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One output folder for all tests: making a SQLite store takes MLflow seconds."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def folder(output: Path, request: pytest.FixtureRequest) -> SweepFolder:
    folder = prepared(output / request.node.name[:60])
    for trial_id in ("0000", "0001", "0002"):
        write_student(folder, trial_id)
    return folder


def best(folder: SweepFolder) -> str:
    """Returns the trial that the alias names."""
    version = client(folder.root.parent).get_model_version_by_alias(folder.name, "best")
    return str(version.tags["trial_id"])


def versions(folder: SweepFolder) -> dict[str, Any]:
    """Returns the versions of a sweep's model by their trials; each trial has one."""
    found = client(folder.root.parent).search_model_versions(f"name = '{folder.name}'")
    by_trial = {version.tags["trial_id"]: version for version in found}
    assert len(by_trial) == len(found)
    return by_trial


def refused(folder: SweepFolder, trial_id: str) -> str:
    with pytest.raises(ConfigError) as caught:
        register_student(folder, trial_id)
    (problem,) = caught.value.problems
    return problem.message


def test_the_knee_of_the_front_is_the_best_version_under_the_name_of_the_sweep(
    folder: SweepFolder,
) -> None:
    record = finish(folder, summary("0000", "0001", knee="0001"))
    assert record.failure is None
    assert best(folder) == "0001"
    version = versions(folder)["0001"]
    assert version.run_id == record.run_ids["0001"]
    assert version.description == "trial 0001: macro_f1 0.51, size_mb 1.5"
    described = client(folder.root.parent).get_registered_model(folder.name).description
    assert described.startswith(f"Students of the kdray sweep {folder.name}: text in, ")
    model = models(folder)["0001"]
    assert version.source == model.artifact_location
    assert model.tags["mlflow.modelVersions"] == f'[{{"name": "{folder.name}", "version": 1}}]'


def test_a_version_is_made_when_the_knee_moves_and_only_then(folder: SweepFolder) -> None:
    for knee, known in (("0000", 1), ("0000", 1), ("0001", 2), ("0000", 2), ("0000", 2)):
        finish(folder, summary("0000", "0001", knee=knee))
        assert (best(folder), len(versions(folder))) == (knee, known)


def test_what_is_registered_by_hand_is_the_best_until_the_knee_moves(folder: SweepFolder) -> None:
    front = ("0000", "0001", "0002")
    finish(folder, summary(*front, knee="0000"))
    assert register_student(folder, "0001") == f"models:/{folder.name}@best"
    assert register_student(folder, "0001") == f"models:/{folder.name}@best"
    assert (best(folder), len(versions(folder))) == ("0001", 2)
    finish(folder, summary(*front, knee="0000"))
    assert (best(folder), len(versions(folder))) == ("0001", 2)
    finish(folder, summary(*front, knee="0002"))
    assert (best(folder), len(versions(folder))) == ("0002", 3)


def test_a_version_that_someone_deleted_is_made_again(folder: SweepFolder) -> None:
    finish(folder, summary("0000"))
    client(folder.root.parent).delete_registered_model(folder.name)
    finish(folder, summary("0000"))
    assert best(folder) == "0000"


def test_only_a_trial_on_the_front_can_be_registered(folder: SweepFolder) -> None:
    finish(folder, summary("0001", "0002"))
    assert refused(folder, "0000") == "trial 0000 is not on the front, where 0001, 0002 is"


def test_a_student_without_weights_cannot_be_registered(folder: SweepFolder) -> None:
    folder.remove(folder.student("0000"))
    finish(folder, summary("0000"))
    assert refused(folder, "0000").startswith("has no weights of trial 0000 (search.keep)")


def test_a_sweep_that_is_recorded_nowhere_cannot_be_registered(folder: SweepFolder) -> None:
    assert refused(folder, "0000").startswith("the sweep is not recorded in MLflow")


def test_a_sweep_whose_run_is_gone_cannot_be_registered(folder: SweepFolder) -> None:
    record = finish(folder, summary("0000"))
    client(folder.root.parent).delete_run(record.run_ids["0000"])
    assert refused(folder, "0000").startswith("has no run of trial 0000 in MLflow")


def test_a_student_is_registered_from_a_folder_that_was_moved_with_its_store(
    folder: SweepFolder, tmp_path: Path
) -> None:
    away = prepared(tmp_path / "before" / "moved")
    write_student(away, "0000")
    finish(away, summary("0000"))
    (tmp_path / "before").rename(tmp_path / "after")
    moved = SweepFolder(tmp_path / "after" / "moved")
    assert register_student(moved, "0000") == "models:/moved@best"
