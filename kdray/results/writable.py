"""Whether something can be written where a user wants it, known before any work is done."""

import tempfile
from pathlib import Path

from kdray.errors import Problem


def folder_problems(where: str, folder: Path) -> list[Problem]:
    """Returns why a folder, there or not, cannot be written to; it tries.

    Args:
        where: What named the folder: `--output`.
        folder: The folder.
    """
    reason = _unwritable(folder)
    message = f"{folder} cannot be written ({reason}); name a folder that can"
    return [Problem(where, message)] if reason else []


def file_problems(where: str, file: Path) -> list[Problem]:
    """Returns why a file, there or not, cannot be written; it tries. See `folder_problems`."""
    reason = "Is a directory" if file.is_dir() else _unwritable(file.parent)
    message = f"{file} cannot be written ({reason}); name a file that can"
    return [Problem(where, message)] if reason else []


def _unwritable(folder: Path) -> str:
    try:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        tempfile.TemporaryDirectory(prefix=".kdray-", dir=there).cleanup()
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""
