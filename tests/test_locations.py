"""Where a sweep is written is looked at before Ray starts, which takes a while."""

import time
from pathlib import Path

import pytest

from kdray.errors import ConfigError
from kdray.locations import check_writable
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


@pytest.mark.parametrize("command", ["sweep", "submit"])
def test_an_output_that_is_a_file_is_told_before_any_work(tmp_path: Path, command: str) -> None:
    space, begun = write_space(tmp_path), time.monotonic()
    where = ["--address", "http://127.0.0.1:9"] if command == "submit" else []
    printed = kdray(command, space, "--output", space, *where, code=2)
    assert "--output: " in printed
    assert "cannot be written (Not a directory); name a folder that can" in printed
    assert time.monotonic() - begun < 20
