"""A sweep as a job of a real cluster, over a line that breaks."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
import yaml

from kdray.data.synthetic import Synthetic
from kdray.errors import ConfigError
from kdray.models.student import load_student
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig
from kdray.sweep.job_client import JobClient
from kdray.sweep.submitting import send_sweep
from tests.ray_head import Head, Line, free_port, running_head
from tests.test_warm_start import leave_sweep, leave_trial
from tests.tiny_sweep import tiny_config, write_space

pytestmark = [pytest.mark.ray]
NOWHERE = Head(free_port(), Path("/no/token"), Path("/no/home"))


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
    line = Line(head.port)
    command = ["submit", "space.yaml", "--profile", "profile.yaml", "--address", line.address]
    follower = start(head, folder, *command)
    printed = ""
    for times, sign in enumerate(("[1/3]", "fetching"), start=1):
        printed += read_to(follower, sign)
        line.cut()
        wait_for(folder / "err.txt", "lost the connection", times)
        line.mend()
    printed += follower.communicate(timeout=300)[0]
    line.cut()
    said = (folder / "err.txt").read_text()
    return Sent(folder, printed.split()[1], follower.returncode, printed, said)


def start(head: Head, folder: Path, *arguments: object) -> subprocess.Popen[str]:
    """Starts a command in a folder; what it says goes to err.txt there."""
    command = [sys.executable, "-m", "kdray", *map(str, arguments)]
    environment = head.environment(folder)
    with (folder / "err.txt").open("w") as err:
        return subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=err, text=True, env=environment
        )


def run(head: Head, folder: Path, *arguments: object, **variables: str) -> tuple[int, str]:
    """Runs a command in a folder and returns its exit code, and what it printed and said."""
    done = subprocess.run(
        [sys.executable, "-m", "kdray", *map(str, arguments)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        env=head.environment(folder, **variables),
        check=False,
    )
    return done.returncode, done.stdout


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


@pytest.mark.slow
def test_a_sweep_runs_on_a_cluster_and_its_results_come_back(sent: Sent) -> None:
    assert sent.code == 0, sent.out + sent.err
    folder = SweepFolder(sent.folder / "runs" / "tiny")
    assert [result.status for result in folder.results()] == ["completed"] * 3
    assert json.loads(folder.summary_json.read_text())["front"]
    assert (folder.root / "report.html").is_file()
    assert not folder.teacher_outputs.exists()
    assert f"results: {folder.root}" in sent.out


@pytest.mark.slow
def test_no_line_is_lost_or_shown_twice_when_the_connection_breaks(sent: Sent, head: Head) -> None:
    assert "lost the connection" in sent.err
    assert "Traceback" not in sent.err
    log = head.jobs(f"{sent.job_id}/logs")["logs"]
    assert log in sent.out
    assert log.count("] trial ") == sent.out.count("] trial ") == 3


@pytest.mark.slow
def test_the_commands_for_a_sweep_work_on_one_that_was_fetched(sent: Sent, head: Head) -> None:
    code, printed = run(head, sent.folder, "best", "runs/tiny", "--output", "best")
    assert code == 0, printed
    assert load_student(sent.folder / "best").probabilities(["a text"]).shape == (1, 2)
    code, printed = run(head, sent.folder, "trial", "runs/tiny", "0000")
    assert code == 0, printed
    assert "macro_f1 is the same as in the sweep" in printed


@pytest.mark.slow
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


@pytest.mark.slow
def test_what_is_sent_outlives_the_job_on_the_head(sent: Sent, head: Head) -> None:
    root = head.home / "kdray-runs" / sent.job_id
    written = yaml.safe_load((root / "tiny" / "sweep.yaml").read_text())
    assert (Path(written["base"]) / written["config"]["data"]["train"]).is_file()
    assert Path(written["base"]).is_relative_to(root)
    assert written["config"]["resources"]["max_concurrent_trials"] == 1
    assert not list(root.rglob("results*.tar.gz"))


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "told"),
    [({"NO_TOKEN": "1"}, "missing authentication token"), ({"RAY_AUTH_TOKEN": "mine"}, "invalid")],
)
def test_without_the_token_nothing_is_sent(
    head: Head, tmp_path: Path, variables: dict[str, str], told: str
) -> None:
    before = len(head.jobs())
    command = ["submit", write_space(tmp_path), "--address", head.address]
    code, printed = run(head, tmp_path, *command, **variables)
    assert code == 2
    assert told in printed.lower()
    assert "ray get-auth-token" in printed
    assert "Traceback" not in printed
    assert len(head.jobs()) == before


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_job_that_is_not_there_or_not_of_kdray_is_not_followed(
    head: Head, tmp_path: Path
) -> None:
    code, printed = run(head, tmp_path, "submit", "--follow", "no", "--address", head.address)
    assert code == 2
    assert "no does not exist" in printed


def test_a_wrong_file_is_told_before_any_connection(tmp_path: Path) -> None:
    space = write_space(tmp_path, trainin={"epochs": 1}, pruning={"ratio": 1.5})
    code, printed = run(NOWHERE, tmp_path, "submit", space, "--address", NOWHERE.address)
    assert code == 2
    assert "space.yaml has 2 problems:" in printed


def test_a_head_that_does_not_answer_is_told_by_its_address(tmp_path: Path) -> None:
    command = ["submit", write_space(tmp_path), "--address", NOWHERE.address]
    code, printed = run(NOWHERE, tmp_path, *command, NO_TOKEN="1")
    assert code == 2
    assert f"--address: no Ray dashboard at '{NOWHERE.address}'" in printed
    assert "Traceback" not in printed


class Taken:
    """Stands in for a cluster's client that takes every job."""

    def __init__(self) -> None:
        self.jobs: list[str] = []

    def submit_job(self, submission_id: str, **job: object) -> None:
        self.jobs.append(submission_id)


def on_a_file(folder: Path) -> SweepConfig:
    """A sweep on a local table."""
    (folder / "train.csv").write_text("text,bully,threat\na,0,1\n")
    files = {"source": "files", "train": "train.csv", "labels": ["bully", "threat"]}
    rows = dict.fromkeys(("train_rows", "validation_rows", "test_rows"))
    return tiny_config(folder, data=files | rows)


def test_files_that_only_the_head_would_have_are_not_sent_to_a_sweep_in_an_object_store(
    tmp_path: Path,
) -> None:
    client, config = Taken(), on_a_file(tmp_path)
    with pytest.raises(ConfigError, match=r"local files: a job carries .*train\.csv to the head"):
        send_sweep(cast(JobClient, client), config, "s3://bucket/runs", 80)
    assert not client.jobs
    send_sweep(cast(JobClient, client), config, "/mnt/shared/runs", 80)
    send_sweep(cast(JobClient, client), config, None, 80)
    assert len(client.jobs) == 2


def test_an_earlier_sweep_is_sent_to_one_in_an_object_store_as_its_driver_alone_reads_it(
    tmp_path: Path,
) -> None:
    earlier, written = leave_sweep(tmp_path / "earlier")
    leave_trial(earlier, written)
    client = Taken()
    config = tiny_config(tmp_path, search={"warm_start": [str(earlier.root)]})
    sent = send_sweep(cast(JobClient, client), config, "s3://bucket/runs", 80)
    assert list(sent.files.values()) == [str(earlier.root)]
    assert client.jobs == [sent.job_id]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "give a search-space file, or --follow JOB_ID"),
        (["space.yaml", "--follow", "a"], "give a search-space file, or --follow JOB_ID"),
        (["space.yaml", "--profile", "profile.yaml"], "must be an absolute path"),
        (["space.yaml", "--name", "there"], "is there already"),
    ],
)
def test_a_command_that_cannot_be_is_told(tmp_path: Path, arguments: list[str], told: str) -> None:
    write_space(tmp_path)
    (tmp_path / "profile.yaml").write_text("output: runs\n")
    (tmp_path / "runs" / "there").mkdir(parents=True)
    code, printed = run(NOWHERE, tmp_path, "submit", *arguments, "--address", NOWHERE.address)
    assert code == 2
    assert told in printed
