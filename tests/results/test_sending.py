import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from kdray.results import sending
from kdray.results.sending import MARK, make_archive, part_lines


def leave_sweep(folder: Path) -> Path:
    """Writes what a sweep leaves, with files that need not travel."""
    for name in (
        "sweep.yaml",
        "trials/0000/result.json",
        "trials/.0001.77/result.json",
        "teacher/config.json",
        "teacher/outputs/logits.npy",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def received(lines: list[str]) -> tuple[dict[str, object], bytes]:
    marked = [line.removeprefix(MARK) for line in lines if line.startswith(MARK)]
    return json.loads(marked[0]), b"".join(base64.b64decode(line) for line in marked[1:])


def names(content: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return sorted(info.name for info in tar if info.isfile())


def test_a_folder_is_printed_without_the_teachers_outputs_and_half_written_files(
    tmp_path: Path,
) -> None:
    folder, archive = leave_sweep(tmp_path / "tiny"), tmp_path / "jobs" / "results.tar.gz"
    command = [sys.executable, "-m", "kdray.results.sending", folder, archive, "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    head, content = received(done.stdout.splitlines())
    assert names(content) == ["sweep.yaml", "teacher/config.json", "trials/0000/result.json"]
    assert head["parts"] == 1
    assert head["part"] == head["archive"] == hashlib.sha256(content).hexdigest()
    assert not archive.exists()


def test_a_large_folder_comes_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "PART_BYTES", 60_000)
    folder, archive = leave_sweep(tmp_path / "tiny"), tmp_path / "results.tar.gz"
    (folder / "noise").write_bytes(os.urandom(150_000))
    make_archive(folder, archive)
    parts = [received(list(part_lines(archive, part))) for part in range(3)]
    assert [head["parts"] for head, _ in parts] == [3] * 3
    assert b"".join(content for _, content in parts) == archive.read_bytes()
    assert all(head["part"] == hashlib.sha256(content).hexdigest() for head, content in parts)


def test_a_folder_that_a_refused_sweep_did_not_write_has_no_parts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sending.send(tmp_path / "none", tmp_path / "archive", 0)
    assert received(capsys.readouterr().out.splitlines()) == ({"parts": 0}, b"")
