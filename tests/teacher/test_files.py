import pickle

import numpy as np
import pytest

from kdray.teacher.files import (
    MappedFile,
    file_of,
    free_bytes,
    new_file,
    take_files,
    unnamed_file,
    whole_files,
    write_key,
)
from kdray.teacher.layout import Column

COLUMNS = {"logits": Column((50, 3), "float32", 0), "hidden.1": Column((90, 4), "float16", 1)}


@pytest.fixture
def folder(tmp_path):
    return filled(tmp_path / "one")


def filled(folder, key="key"):
    folder.mkdir()
    write_key(folder, key)
    for name, column in COLUMNS.items():
        new_file(file_of(folder, name), column)[:] = 1.5
    return folder


def test_a_folder_holds_what_its_key_says(folder):
    assert whole_files(folder, "key", COLUMNS) == COLUMNS.keys()
    assert whole_files(folder, "other", COLUMNS) == set()


def test_a_file_that_is_cut_off_of_another_shape_or_no_array_is_not_whole(folder):
    file = file_of(folder, "hidden.1")
    whole = file.read_bytes()
    for content in (whole[:-1], whole[:20], b"", b"no array at all, but long enough to be one"):
        file.write_bytes(content)
        assert whole_files(folder, "key", COLUMNS) == {"logits"}
    np.save(file, np.ones((90, 5), np.float16))
    assert whole_files(folder, "key", COLUMNS) == {"logits"}
    np.save(file, np.ones((90, 4), np.float32))
    assert whole_files(folder, "key", COLUMNS) == {"logits"}
    file.unlink()
    assert whole_files(folder, "key", COLUMNS) == {"logits"}


@pytest.mark.parametrize("content", ["", "[]", "{}", '"key"', '{"key": 3}', "\x00"])
def test_a_folder_whose_key_cannot_be_read_holds_nothing(folder, content):
    (folder / "key.json").write_text(content)
    assert whole_files(folder, "key", COLUMNS) == set()


def test_what_others_have_is_linked_and_not_copied(folder, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    assert take_files([tmp_path / "none", folder], "key", COLUMNS, mine) == COLUMNS.keys()
    for name in COLUMNS:
        assert file_of(mine, name).samefile(file_of(folder, name))


def test_a_broken_file_is_taken_from_the_next_that_has_it_whole(folder, tmp_path):
    other, mine = filled(tmp_path / "other"), tmp_path / "mine"
    mine.mkdir()
    file_of(folder, "hidden.1").write_bytes(b"")
    assert take_files([folder, other], "key", COLUMNS, mine) == COLUMNS.keys()
    assert file_of(mine, "logits").samefile(file_of(folder, "logits"))
    assert file_of(mine, "hidden.1").samefile(file_of(other, "hidden.1"))


def test_between_disks_files_are_copied(folder, tmp_path, monkeypatch):
    def refused(source, target):
        raise OSError("another disk")

    monkeypatch.setattr("os.link", refused)
    mine = tmp_path / "mine"
    mine.mkdir()
    assert take_files([folder], "key", COLUMNS, mine) == COLUMNS.keys()
    assert not file_of(mine, "logits").samefile(file_of(folder, "logits"))


def test_a_file_that_cannot_be_copied_is_left_out(folder, tmp_path, monkeypatch):
    def half(source, target):
        target.write_bytes(source.read_bytes()[:-8])
        raise OSError("the disk is full")

    monkeypatch.setattr("os.link", half)
    monkeypatch.setattr("shutil.copyfile", half)
    mine = tmp_path / "mine"
    mine.mkdir()
    assert take_files([folder], "key", COLUMNS, mine) == set()
    assert not list(mine.iterdir())


def test_a_mapped_file_is_read_only_and_travels_as_its_path(folder):
    mapped = MappedFile(file_of(folder, "hidden.1"))
    assert mapped.array.shape == (90, 4)
    assert isinstance(mapped.array.base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        mapped.array[0] = 0
    sent = pickle.dumps(mapped)
    assert len(sent) < 500
    assert np.array_equal(pickle.loads(sent).array, mapped.array)


def test_a_new_file_has_its_room_on_disk_before_it_is_filled(tmp_path):
    column = Column((1_000_000,), "float32", 0)
    new_file(tmp_path / "x.npy", column)
    assert (tmp_path / "x.npy").stat().st_blocks * 512 >= 4_000_000


def test_an_unnamed_file_is_on_disk_without_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    array = unnamed_file(COLUMNS["logits"])
    array[:] = 2.0
    assert isinstance(array.base, np.memmap)
    assert array.sum() == 300.0
    assert not list(tmp_path.iterdir())


def test_what_a_folder_takes_itself_counts_as_free(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    own = sum(file_of(folder, name).stat().st_size for name in COLUMNS)
    assert free_bytes(folder) == 1000 + own
    assert free_bytes(tmp_path / "not there yet") == 1000
