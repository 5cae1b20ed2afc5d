"""The outputs' files: one `.npy` an output, and a key that says of which teacher and texts."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from kdray.results.folder import write_json
from kdray.teacher.layout import Array, Column

MappedArray = np.memmap[tuple[int, ...], np.dtype[np.generic]]

_KEY = "key.json"


@dataclass(frozen=True)
class MappedFile:
    """A `.npy` file that is mapped where it is read; it travels as its path, not its content.

    Attributes:
        path: The file.
    """

    path: Path

    @cached_property
    def array(self) -> Array:
        """Its content, read-only; pages are read when they are used."""
        return np.asarray(np.load(self.path, mmap_mode="r", allow_pickle=False))

    def __reduce__(self) -> tuple[type["MappedFile"], tuple[Path]]:
        return type(self), (self.path,)


def file_of(folder: Path, name: str) -> Path:
    """Returns the file of an output."""
    return folder / f"{name}.npy"


def write_key(folder: Path, key: str) -> None:
    """Writes down what a folder's outputs are of."""
    write_json(folder / _KEY, {"key": key})


def whole_files(folder: Path, key: str, columns: Mapping[str, Column]) -> set[str]:
    """Returns which outputs a folder holds whole; none if they are of something else."""
    try:
        if json.loads((folder / _KEY).read_text(encoding="utf-8"))["key"] != key:
            return set()
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {name for name, column in columns.items() if _fits(file_of(folder, name), column)}


def take_files(
    sources: Iterable[Path], key: str, columns: Mapping[str, Column], folder: Path
) -> set[str]:
    """Links what the sources hold whole into a folder, or copies it from another disk.

    Returns:
        The names of what is there now.
    """
    there: set[str] = set()
    for source in sources:
        for name in whole_files(source, key, columns) - there:
            file = file_of(folder, name)
            with suppress(OSError):
                _link(file_of(source, name), file)
            if _fits(file, columns[name]):
                there.add(name)
            else:
                file.unlink(missing_ok=True)
    return there


def new_file(file: Path, column: Column) -> MappedArray:
    """Returns the array of a new file, to be filled.

    Raises:
        OSError: If the disk is full.
    """
    array = np.lib.format.open_memmap(file, "w+", column.dtype, column.shape)
    if hasattr(os, "posix_fallocate"):
        with file.open("r+b") as opened:
            # To write into a hole of a mapped file ends the process when the disk is full.
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
    return array


def unnamed_file(column: Column) -> Array:
    """Returns an array on disk that is gone with this process."""
    with tempfile.TemporaryFile() as file:
        return np.asarray(np.memmap(file, column.dtype, "w+", shape=column.shape))


def free_bytes(folder: Path) -> float:
    """Returns what is free on a folder's disk, or taken by the folder itself."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    own = sum(file.stat().st_size for file in folder.glob("*.npy"))
    return float(shutil.disk_usage(there).free + own)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _fits(file: Path, column: Column) -> bool:
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    return bool(array.shape == column.shape and array.dtype == column.dtype)
