"""Sends a sweep's folder through a log: `python -m kdray.results.sending FOLDER ARCHIVE PART`.

A job's log is the only way from a cluster's head to a machine that sees no more than its dashboard.
Each call prints one part of a compressed archive, a line of JSON and then lines of base64.
"""

import base64
import hashlib
import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

# Where a line of the log is one of these, and not one of Ray's.
MARK = "kdray-part:"
PART_BYTES = 32_000_000
_LINE_BYTES = 48_000
_LEFT_OUT = "teacher/outputs"


def make_archive(folder: Path, archive: Path) -> None:
    """Writes all of a sweep's folder but the teacher's outputs and half-written files."""

    def chosen(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        hidden = any(part.startswith(".") for part in Path(info.name).parts)
        return None if hidden or info.name == _LEFT_OUT else info

    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:gz") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name, filter=chosen)


def part_lines(archive: Path, part: int) -> Iterator[str]:
    """Yields the lines of one part: what it is, then its content.

    Args:
        archive: The file to send.
        part: Which part, from 0.
    """
    with archive.open("rb") as file:
        parts = max(1, -(-archive.stat().st_size // PART_BYTES))
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(part * PART_BYTES)
        content = file.read(PART_BYTES)
    own = hashlib.sha256(content).hexdigest()
    yield f"{MARK}{json.dumps({'parts': parts, 'archive': digest, 'part': own})}\n"
    for start in range(0, len(content), _LINE_BYTES):
        yield f"{MARK}{base64.b64encode(content[start : start + _LINE_BYTES]).decode()}\n"


def send(folder: Path, archive: Path, part: int) -> None:
    """Prints one part of a sweep's folder; a folder without a sweep has none.

    The first part makes the archive, the last one removes it.
    """
    if not (folder / "sweep.yaml").is_file():
        sys.stdout.write(f"{MARK}{json.dumps({'parts': 0})}\n")
        return
    if part == 0:
        make_archive(folder, archive)
    for line in part_lines(archive, part):
        # Ray writes to the same file: a line is one write, or it would be torn.
        sys.stdout.write(line)
        sys.stdout.flush()
    if (part + 1) * PART_BYTES >= archive.stat().st_size:
        archive.unlink()


if __name__ == "__main__":
    send(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
