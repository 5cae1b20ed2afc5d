"""What is told before a sweep is sent, and what is sent."""

from pathlib import Path
from typing import cast

import pytest

from kdray.errors import ConfigError
from kdray.schema import SweepConfig
from kdray.sweep.job_client import JobClient, LostError
from kdray.sweep.submitting import send_sweep
from tests.command_line import kdray
from tests.ray_head import free_port
from tests.test_warm_start import leave_sweep, leave_trial
from tests.tiny_sweep import tiny_config, write_space

VARIABLES = (
    "RAY_AUTH_MODE",
    "RAY_AUTH_TOKEN",
    "RAY_AUTH_TOKEN_PATH",
    "RAY_ADDRESS",
    "RAY_API_SERVER_ADDRESS",
)


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Address of a head that is not there; its user has a home of his own, and no token."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in VARIABLES:
        # Set first, so that what the tested code sets is taken back.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return f"http://127.0.0.1:{free_port()}"


def test_a_wrong_file_is_told_before_any_connection(tmp_path: Path, nowhere: str) -> None:
    space = write_space(tmp_path, trainin={"epochs": 1}, pruning={"ratio": 1.5})
    printed = kdray("submit", space, "--address", nowhere, code=2)
    assert "space.yaml has 2 problems:" in printed


def test_a_head_that_does_not_answer_is_told_by_its_address(tmp_path: Path, nowhere: str) -> None:
    printed = kdray("submit", write_space(tmp_path), "--address", nowhere, code=2)
    assert f"--address: no Ray dashboard at '{nowhere}'" in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("variable", ["RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"])
@pytest.mark.parametrize("what", [["space.yaml"], ["--follow", "tiny-1a2b"]])
def test_without_an_address_that_of_rays_own_variables_is_taken(
    tmp_path: Path, nowhere: str, monkeypatch: pytest.MonkeyPatch, variable: str, what: list[str]
) -> None:
    write_space(tmp_path)
    assert "Missing option '--address'" in kdray("submit", *what, code=2)
    monkeypatch.setenv(variable, nowhere)
    assert f"no Ray dashboard at '{nowhere}'" in kdray("submit", *what, code=2)


def test_a_sweep_that_may_have_arrived_is_told_with_the_command_that_finds_it(
    tmp_path: Path,
) -> None:
    client = Lost()
    with pytest.raises(ConfigError) as caught:
        send_sweep(cast(JobClient, client), tiny_config(tmp_path), None, 80)
    assert "`kdray submit --follow tiny-" in str(caught.value)
    assert " --address http://head:8265` finds it" in str(caught.value)


class Taken:
    """Stands in for a cluster's client that takes every job."""

    def __init__(self) -> None:
        self.jobs: list[str] = []

    def submit_job(self, submission_id: str, **job: object) -> None:
        self.jobs.append(submission_id)


class Lost:
    """Stands in for a cluster's client whose connection breaks."""

    def submit_job(self, **job: object) -> None:
        raise LostError("reset by peer")

    def get_address(self) -> str:
        return "http://head:8265"


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
def test_a_command_that_cannot_be_is_told(
    tmp_path: Path, nowhere: str, arguments: list[str], told: str
) -> None:
    write_space(tmp_path)
    (tmp_path / "profile.yaml").write_text("output: runs\n")
    (tmp_path / "runs" / "there").mkdir(parents=True)
    assert told in kdray("submit", *arguments, "--address", nowhere, code=2)
