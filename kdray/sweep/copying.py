"""Copying what is new between a folder and a place in an object store.

A file that was copied has the store's time, so that either side is seen to have changed. The file
that makes a folder whole is copied last, and deleted first.
"""

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from pyarrow.fs import FileSelector, FileType, LocalFileSystem, copy_files

from kdray.results.folder import write_file
from kdray.sweep.object_store import Place
from kdray.waiting import progress

LAST = ("result.json", "verification.json", "training.sha256")
# The only name of what is a file and no folder.
ITSELF = "."
_STREAMS = 8


def there(place: Place) -> dict[str, Any]:
    """Returns what pyarrow says of a file, or of each file in a folder, by its relative name."""
    own = place.system.get_file_info(place.path)
    if own.type == FileType.File:
        return {ITSELF: own}
    selector = FileSelector(place.path, recursive=True, allow_not_found=True)
    found = [i for i in place.system.get_file_info(selector) if i.type == FileType.File]
    return {info.path.removeprefix(f"{place.path}/"): info for info in found}


def push(path: Path, place: Place, exactly: bool, left_out: tuple[str, ...] = ()) -> None:
    """Uploads what is not there as it is here.

    Args:
        path: A file or a folder.
        place: Where it belongs.
        exactly: Whether what is only there is deleted.
        left_out: Folders in it that are not uploaded.
    """
    found, before = _files(path), there(place)
    files = {name: file for name, file in found.items() if name.split("/")[0] not in left_out}
    new = {name: file.stat() for name, file in files.items() if not _same(file, before.get(name))}
    stale = before.keys() - files.keys() if exactly else set()
    delete(place, stale | {name for name in new if name in before and is_last(name)})
    _each(new, lambda name: _copy_up(files[name], place, name))
    after = there(place) if new else {}
    for name, state in new.items():
        _stamp(files[name], state, after.get(name))


def pull(place: Place, path: Path, files: Mapping[str, Any]) -> None:
    """Downloads what is newer than here.

    Args:
        place: Where a file or a folder lies.
        path: Where it belongs.
        files: What of it, as `there` returned it.
    """
    newer = [name for name, info in files.items() if _is_newer(info, path / name)]
    _each(newer, lambda name: _copy_down(files[name], place, path / name))


def delete(place: Place, names: Collection[str]) -> None:
    """Deletes files of a folder."""
    for name in sorted(names, key=is_last, reverse=True):
        place.system.delete_file(at(place, name).path)


def at(place: Place, name: str) -> Place:
    """Returns the place of what has a relative name."""
    return Place(place.system, str(PurePosixPath(place.path) / name))


def is_last(name: str) -> bool:
    """Returns whether a file makes its folder whole."""
    return PurePosixPath(name).name in LAST


def _files(path: Path) -> dict[str, Path]:
    """Returns the files by relative name, without what is only being written."""
    if path.is_file():
        return {ITSELF: path}
    found = (file.relative_to(path) for file in path.rglob("*") if file.is_file())
    whole = (name for name in found if not any(part.startswith(".") for part in name.parts))
    return {name.as_posix(): path / name for name in whole}


def _each(names: Iterable[str], do: Callable[[str], object]) -> None:
    ordered = sorted(names, key=is_last)
    count = sum(not is_last(name) for name in ordered)
    with ThreadPoolExecutor(_STREAMS) as streams:
        for part in (ordered[:count], ordered[count:]):
            for done, _ in enumerate(streams.map(do, part), start=1):
                progress("copying files", done, len(part))


def _copy_up(file: Path, place: Place, name: str) -> None:
    target = at(place, name)
    copy_files(
        str(file),
        target.path,
        source_filesystem=LocalFileSystem(),
        destination_filesystem=target.system,
    )


def _copy_down(info: Any, place: Place, file: Path) -> None:
    def download(to: Path) -> None:
        copy_files(
            info.path,
            str(to),
            source_filesystem=place.system,
            destination_filesystem=LocalFileSystem(),
        )

    write_file(file, download)
    _stamp(file, file.stat(), info)


def _same(file: Path, info: Any) -> bool:
    state = file.stat()
    return info is not None and (state.st_size, state.st_mtime_ns) == (info.size, _time_ns(info))


def _is_newer(info: Any, file: Path) -> bool:
    if not file.exists():
        return True
    return not _same(file, info) and _time_ns(info) > file.stat().st_mtime_ns


def _time_ns(info: Any) -> int:
    # A store tells it in whole seconds or in parts of them, as it is asked.
    return int(info.mtime_ns) // 10**9 * 10**9


def _stamp(file: Path, before: os.stat_result, info: Any) -> None:
    """Gives a copied file the store's time, unless it was written to or deleted meanwhile."""
    if info is None or not file.exists():
        return
    now = file.stat()
    if (now.st_size, now.st_mtime_ns) == (before.st_size, before.st_mtime_ns):
        os.utime(file, ns=(now.st_atime_ns, _time_ns(info)))
