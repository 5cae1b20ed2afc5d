"""A sweep on a real cluster with a token: as a job of it over a line that breaks, and joined."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdray.data.synthetic import Synthetic
from kdray.models.student import load_student
from kdray.results.folder import SweepFolder
from tests.command_line import kdray
from tests.door import Door
from tests.ray_head import Head, running_head
from tests.tiny_sweep import write_space

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@dataclass(frozen=True)
class Sent:
    """A sweep that was sent, followed over a broken line, and fetched.

    Attributes:
        folder: Where the command ran.
        job_id: Its job.
        code: What the command ended with.
        out: What it printed.
        err: What it said about the line.
    """

    folder: Path
    job_id: str
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with running_head() as started:
        yield started


@pytest.fixture(scope="module")
def sent(head: Head, tmp_path_factory: pytest.TempPathFactory) -> Sent:
    """A sweep of three trials on a local file; the line breaks after one, and while it fetches."""
    folder = tmp_path_factory.mktemp("sent")
    table = Synthetic(labels=["bully", "threat"], train_rows=300).read(folder, 0).splits["train"]
    (folder / "data").mkdir()
    table.to_csv(folder / "data" / "train.csv", index=False)
    space = write_space(folder, data=None)
    files = {"source": "files", "train": "data/train.csv", "labels": ["bully", "threat"]}
    space.write_text(space.read_text() + yaml.safe_dump({"data": files}))
    (folder / "profile.yaml").write_text("resources: {max_concurrent_trials: 1}\n")
    line = Door(head.port)
    command = ["submit", "space.yaml", "--profile", "profile.yaml", "--address", line.address]
    follower = start(head, folder, *command)
    printed = ""
    for times, sign in enumerate(("[1/3]", "fetching"), start=1):
        printed += read_to(follower, sign)
        line.shut()
        wait_for(folder / "err.txt", "lost the connection", times)
        line.open()
    printed += follower.communicate(timeout=300)[0]
    line.shut()
    said = (folder / "err.txt").read_text()
    return Sent(folder, printed.split()[1], follower.returncode, printed, said)


def start(head: Head, folder: Path, *arguments: object) -> subprocess.Popen[str]:
    """Starts a command in a folder; what it says goes to err.txt there."""
    with (folder / "err.txt").open("w") as err:
        return begin(head, folder, *arguments, stderr=err)


def begin(
    head: Head, folder: Path, *arguments: object, stderr: Any = subprocess.STDOUT, **variables: str
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "kdray", *map(str, arguments)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env=head.environment(folder, **variables),
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Returns the exit code of a command, and what it printed and said."""
    printed = process.communicate(timeout=300)[0]
    return process.returncode, printed


def run(head: Head, folder: Path, *arguments: object) -> tuple[int, str]:
    """Runs a command in a folder to its end."""
    return end(begin(head, folder, *arguments))


def read_to(process: subprocess.Popen[str], sign: str) -> str:
    """Reads what a process prints, to the first line that begins with a sign."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if line.startswith(sign):
            return seen
    raise AssertionError(seen)


def wait_for(file: Path, words: str, times: int) -> None:
    """Waits until a file holds these words so many times."""
    deadline = time.monotonic() + 60
    while file.read_text().count(words) < times:
        assert time.monotonic() < deadline, file.read_text()
        time.sleep(0.1)


def test_a_sweep_runs_on_a_cluster_and_its_results_come_back(sent: Sent) -> None:
    assert sent.code == 0, sent.out + sent.err
    folder = SweepFolder(sent.folder / "runs" / "tiny")
    assert [result.status for result in folder.results()] == ["completed"] * 3
    assert json.loads(folder.summary_json.read_text())["front"]
    assert (folder.root / "report.html").is_file()
    assert not folder.teacher_outputs.exists()
    assert f"results: {folder.root}" in sent.out


def test_no_line_is_lost_or_shown_twice_when_the_connection_breaks(sent: Sent, head: Head) -> None:
    assert "lost the connection" in sent.err
    assert "Traceback" not in sent.err
    log = head.jobs(f"{sent.job_id}/logs")["logs"]
    assert log in sent.out
    assert log.count("] trial ") == sent.out.count("] trial ") == 3


def test_the_commands_for_a_sweep_work_on_one_that_was_fetched(sent: Sent) -> None:
    fetched = sent.folder / "runs" / "tiny"
    kdray("best", fetched, "--output", sent.folder / "best")
    assert load_student(sent.folder / "best").probabilities(["a text"]).shape == (1, 2)
    assert "macro_f1 is the same as in the sweep" in kdray("trial", fetched, "0000")


def test_a_sent_sweep_is_followed_and_fetched_again_from_elsewhere(
    sent: Sent, head: Head, tmp_path: Path
) -> None:
    follow = ["submit", "--follow", sent.job_id, "--address", head.address, "--output", "here"]
    code, printed = run(head, tmp_path, *follow)
    assert code == 0, printed
    assert head.jobs(f"{sent.job_id}/logs")["logs"] in printed
    assert len(SweepFolder(tmp_path / "here" / "tiny").results()) == 3
    jobs = len(head.jobs())
    assert run(head, tmp_path, *follow)[0] == 0
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["tiny"]
    assert len(head.jobs()) == jobs


def test_what_is_sent_outlives_the_job_on_the_head(sent: Sent, head: Head) -> None:
    root = head.home / "kdray-runs" / sent.job_id
    written = yaml.safe_load((root / "tiny" / "sweep.yaml").read_text())
    assert (Path(written["base"]) / written["config"]["data"]["train"]).is_file()
    assert Path(written["base"]).is_relative_to(root)
    assert written["config"]["resources"]["max_concurrent_trials"] == 1
    assert not list(root.rglob("results*.tar.gz"))


def test_results_in_a_folder_that_all_see_are_not_fetched(head: Head, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    (shared / "tiny").mkdir(parents=True)
    (tmp_path / "profile.yaml").write_text(f"output: {shared}\n")
    more = ["--profile", "profile.yaml", "--trials", "1", "--set", "student.layers=1"]
    command = ["submit", write_space(tmp_path), *more, "--address", head.address]
    code, printed = run(head, tmp_path, *command)
    assert code == 0, printed
    assert f"results: {shared / 'tiny-2'}" in printed
    folder = SweepFolder(shared / "tiny-2")
    assert len(folder.results()) == 1
    assert yaml.safe_load(folder.sweep_yaml.read_text())["config"]["student"]["layers"] == 1
    assert not (tmp_path / "runs").exists()


def test_ctrl_c_leaves_the_job_running_and_a_failed_sweep_keeps_its_exit_code(
    head: Head, tmp_path: Path
) -> None:
    write_space(tmp_path, teacher={"verify": {"minimum": 1.0}})
    follower = start(head, tmp_path, "submit", "space.yaml", "--address", head.address)
    assert follower.stdout is not None
    job_id = follower.stdout.readline().split()[1]
    follower.stdout.readline()
    follower.send_signal(signal.SIGINT)
    follower.communicate(timeout=60)
    said = (tmp_path / "err.txt").read_text()
    assert follower.returncode == 130, said
    assert f"kdray submit --follow {job_id} --address {head.address}" in said
    assert f"ray job stop {job_id} --address {head.address}" in said
    assert "Traceback" not in said
    code, printed = run(head, tmp_path, "submit", "--follow", job_id, "--address", head.address)
    assert code == 1, printed
    assert "macro_f1" in printed
    assert f"job {job_id} ended with exit code 1" in printed
    assert not (tmp_path / "runs").exists()


def test_without_the_token_nothing_is_sent_and_no_cluster_is_joined(
    head: Head, tmp_path: Path
) -> None:
    before, space = len(head.jobs()), write_space(tmp_path)
    submit = ["submit", space, "--address", head.address]
    join = ["sweep", space, "--trials", "1", "--address", f"127.0.0.1:{head.own_port}"]
    wrong: list[dict[str, str]] = [{"NO_TOKEN": "1"}, {"RAY_AUTH_TOKEN": "1" * 32}]
    expected = [
        (submit, wrong[0], "missing authentication token"),
        (submit, wrong[1], "invalid"),
        (join, wrong[0], "it wants its token"),
        (join, wrong[1], "it wants its token"),
    ]
    started = [begin(head, tmp_path, *words, **variables) for words, variables, _ in expected]
    for process, (_, _, told) in zip(started, expected, strict=True):
        code, printed = end(process)
        assert code == 2, printed
        assert told in printed.lower()
        assert "ray get-auth-token" in printed
        assert "Traceback" not in printed
    assert len(head.jobs()) == before
    assert not (tmp_path / "runs").exists()


def test_a_sweep_joins_a_cluster_by_its_address_with_the_token_of_the_user(
    head: Head, tmp_path: Path
) -> None:
    address = f"127.0.0.1:{head.own_port}"
    words = ["sweep", write_space(tmp_path), "--trials", "1", "--address", address]
    code, printed = run(head, tmp_path, *words)
    assert code == 0, printed
    assert "[1/1] trial" in printed


def test_what_the_cluster_refuses_is_told_here_and_is_the_user_s_to_mend(
    head: Head, tmp_path: Path
) -> None:
    write_space(tmp_path, resources={"gpus_per_trial": 8})
    code, printed = run(head, tmp_path, "submit", "space.yaml", "--address", head.address)
    assert code == 2, printed
    assert "resources.gpus_per_trial" in printed
    assert "was refused on the cluster; the reason stands above" in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "runs").exists()


def test_a_job_that_is_not_there_or_not_of_kdray_is_not_followed(
    head: Head, tmp_path: Path
) -> None:
    code, printed = run(head, tmp_path, "submit", "--follow", "no", "--address", head.address)
    assert code == 2
    assert "no does not exist" in printed
