"""Where a sweep is, what it is called, and whether it can be written there."""

import time
from pathlib import Path

import pytest
import yaml

from kdray.errors import ConfigError
from kdray.locations import check_writable, new_folder, published, sweep_folder
from kdray.results.folder import SweepFolder
from tests.command_line import kdray
from tests.tiny_sweep import write_space


def test_a_folder_that_can_be_written_is_taken_and_left_as_it_is(tmp_path: Path) -> None:
    check_writable(SweepFolder(tmp_path / "not" / "there" / "yet"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"--output: .*file/runs/a cannot be written \(Not a dir"):
        check_writable(SweepFolder(tmp_path / "file" / "runs" / "a"))


def test_a_folder_that_cannot_be_written_is_refused() -> None:
    # Not even the administrator, who runs these tests in CI, makes a folder there.
    with pytest.raises(ConfigError, match=r"--output: /proc/runs/a cannot be written \("):
        check_writable(SweepFolder(Path("/proc/runs/a")))


def test_a_sweep_that_is_to_go_on_must_be_writable_and_one_that_is_read_need_not() -> None:
    assert sweep_folder("/proc").root == Path("/proc")
    with pytest.raises(ConfigError, match=r"/proc: /proc cannot be written \("):
        sweep_folder("/proc", writable=True)


@pytest.mark.parametrize("command", ["sweep", "submit"])
def test_an_output_that_is_a_file_is_told_before_any_work(tmp_path: Path, command: str) -> None:
    space, begun = write_space(tmp_path), time.monotonic()
    where = ["--address", "http://127.0.0.1:9"] if command == "submit" else []
    printed = kdray(command, space, "--output", space, *where, code=2)
    assert "--output: " in printed
    assert "cannot be written (Not a directory); name a folder that can" in printed
    assert time.monotonic() - begun < 20


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("typed", ["runs/mine", "../elsewhere/mine", "/shared/mine"])
def test_a_sweep_is_called_as_it_was_typed(typed: str):
    folder = sweep_folder(typed)
    assert (folder.typed, folder.root) == (typed, Path(typed).resolve())


@pytest.mark.usefixtures("here")
def test_a_new_sweep_is_called_after_the_output_that_was_typed():
    assert new_folder("../elsewhere/", "mine", asked=False).typed == "../elsewhere/mine"


@pytest.mark.usefixtures("here")
def test_an_absolute_path_in_the_current_folder_is_told_from_there():
    assert sweep_folder(str(Path.cwd() / "runs" / "mine")).typed == "runs/mine"


@pytest.mark.usefixtures("here")
def test_a_folder_of_sweeps_is_answered_with_their_names():
    for name in ("one", "other"):
        made_by("kdray sweep", Path("runs") / name)
    with pytest.raises(
        ConfigError, match=r"runs: is a folder of sweeps; name one.*: runs/one, runs"
    ):
        sweep_folder("runs")
    assert sweep_folder("runs/one").typed == "runs/one"


def made_by(command: str, root: Path) -> None:
    root.mkdir(parents=True)
    (root / "sweep.yaml").write_text(yaml.safe_dump({"command": command, "config": {}}))


@pytest.mark.usefixtures("here")
def test_what_is_published_tells_no_absolute_path_that_its_command_does_not_tell(tmp_path: Path):
    secret, told = tmp_path / "secret" / "mine", tmp_path / "told" / "mine"
    made_by("kdray sweep mine.yaml --output ../secret", secret)
    made_by(f"kdray sweep mine.yaml --output {told.parent}", told)
    assert published(sweep_folder(str(secret))).typed == "secret/mine"
    assert published(sweep_folder(str(told))).typed == str(told)
    assert published(sweep_folder("../secret/mine")).typed == "../secret/mine"
