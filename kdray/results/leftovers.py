"""What killed processes have left half-written in a sweep's folder."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from kdray.results.folder import KINDS, OLD, SweepFolder

# As `written_whole` and `write_file` name what is not in its place yet; and a disk's probe.
_FOLDER = re.compile(rf"\.(?P<name>.+)\.(?P<process>\d+)(?P<old>{re.escape(OLD)})?")
_FILE = re.compile(r"\.(?P<process>\d+)\..+|\.space\..+")


def leftovers(folder: SweepFolder) -> list[Path]:
    """Returns the half-written files and folders of processes that are no more.

    What was moved aside and never got its place back is not among them: it is the only copy, and
    the next that writes there puts it back.
    """
    kinds = [folder.root / kind for kind in (*KINDS, "students", "checkpoints")]
    places = [folder.root, folder.teacher, *kinds]
    return sorted(path for place in places for path in _left_in(place))


def _left_in(place: Path) -> Iterator[Path]:
    for path in place.glob(".*"):
        found = (_FOLDER if path.is_dir() else _FILE).fullmatch(path.name)
        if found is None or _is_alive(found["process"]):
            continue
        only_copy = path.is_dir() and found["old"] and not (place / found["name"]).exists()
        if not only_copy:
            yield path


def _is_alive(process: str | None) -> bool:
    """Returns whether a process of this number runs here; one without a number does not."""
    if process is None:
        return False
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
