import io
import tarfile
from pathlib import Path

import pytest
import yaml

from kdray.errors import SweepError
from kdray.results.folder import SweepFolder
from kdray.sweep.fetching import job_of, unpack
from kdray.sweep.submitting import SentSweep

FILES = {"files/0-train.csv": "/home/me/train.csv"}
SENT = SentSweep("tiny-1a2b", "tiny", "~/kdray-runs/tiny-1a2b", shared=False, files=FILES)
SWEEP = {
    "base": "/far/away",
    "source": {"path": "/far/away/space.yaml"},
    "config": {"name": "tiny", "data": {"source": "files", "train": "files/0-train.csv"}},
}


def archive(**more: str) -> io.BytesIO:
    """An archive with a sweep's file and others; a value that begins with > is a link."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in {"sweep.yaml": yaml.safe_dump(SWEEP), **more}.items():
            info = tarfile.TarInfo(name)
            if text.startswith(">"):
                info.type, info.linkname = tarfile.SYMTYPE, text[1:]
            else:
                info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    packed.seek(0)
    return packed


def test_a_fetched_sweep_names_the_files_here_and_its_job(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path / "tiny")
    assert job_of(folder) is None
    unpack(archive(**{"trials/0000/result.json": "{}"}), SENT, folder)
    written = yaml.safe_load(folder.sweep_yaml.read_text())
    assert written["config"]["data"]["train"] == "/home/me/train.csv"
    assert "source" not in written
    assert job_of(folder) == "tiny-1a2b"
    assert (folder.trial("0000") / "result.json").is_file()


@pytest.mark.parametrize("evil", [{"../evil": "x"}, {"evil": ">/etc/passwd"}])
def test_an_archive_that_would_write_elsewhere_is_refused_whole(
    tmp_path: Path, evil: dict[str, str]
) -> None:
    with pytest.raises(SweepError, match="are not unpacked"):
        unpack(archive(**evil), SENT, SweepFolder(tmp_path / "runs" / "tiny"))
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="are not unpacked"):
        unpack(io.BytesIO(b"no archive"), SENT, SweepFolder(tmp_path / "tiny"))
