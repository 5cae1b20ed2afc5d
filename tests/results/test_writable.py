from pathlib import Path

import pytest

from kdray.results.writable import file_problems, folder_problems


def test_what_can_be_written_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "there.csv").touch()
    assert folder_problems("--output", tmp_path / "not" / "there" / "yet") == []
    assert file_problems("--output", tmp_path / "new.csv") == []
    assert file_problems("--output", tmp_path / "there.csv") == []
    assert [path.name for path in tmp_path.iterdir()] == ["there.csv"]


@pytest.mark.parametrize("place", ["/proc/zz", "{}/file.csv/zz"])
def test_a_place_where_nothing_can_be_made_is_named_with_the_reason(
    tmp_path: Path, place: str
) -> None:
    (tmp_path / "file.csv").touch()
    wrong = Path(place.format(tmp_path))
    (file,), (folder,) = file_problems("--output", wrong), folder_problems("--output", wrong)
    assert str(file).startswith(f"--output: {wrong} cannot be written (")
    assert str(file).endswith("); name a file that can")
    assert str(folder).endswith("); name a folder that can")


def test_a_file_does_not_take_the_place_of_a_folder(tmp_path: Path) -> None:
    (problem,) = file_problems("FILE", tmp_path)
    assert (
        str(problem) == f"FILE: {tmp_path} cannot be written (Is a directory); name a file that can"
    )
