"""Sends a sweep to a cluster as a Ray job, with its files and this very package.

The job copies what it was sent to the folder of its output, because Ray removes the working folder
of a job that has ended, and `kdray resume` reads the data again.
"""

import json
import secrets
import shlex
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import kdray
from kdray.errors import ConfigError, Problem
from kdray.parcel import SPACE, pack
from kdray.results.folder import SAFE_NAME
from kdray.schema import SweepConfig
from kdray.sweep.job_client import JobClient, LostError
from kdray.sweep.object_store import child

# On the head, where a cluster has no folder that all its machines see.
OWN_OUTPUT = "~/kdray-runs"
_KEY = "kdray"


@dataclass(frozen=True)
class SentSweep:
    """A sweep that was sent, as its job remembers it.

    Attributes:
        job_id: Ray's id of the job, a safe file name.
        name: Name of the sweep.
        output: Folder of sweeps on the cluster; `~` is the home on the head. Or a URI.
        shared: Whether the user named it, so that this machine may see it too.
        files: The path on the machine that sent it of each file, by the path in the job.
    """

    job_id: str
    name: str
    output: str
    shared: bool
    files: dict[str, str]

    @property
    def folder(self) -> str:
        """The sweep's folder on the cluster, or its URI."""
        return child(self.output, self.name) if self.is_stored else f"{self.output}/{self.name}"

    @property
    def is_stored(self) -> bool:
        """Whether the output is in an object store."""
        return "://" in self.output

    @property
    def inputs(self) -> str:
        """Where the job keeps what it was sent."""
        there = f"{OWN_OUTPUT}/{self.job_id}" if self.is_stored else self.output
        return f"{there}/.jobs/{self.job_id}"


def send_sweep(client: JobClient, config: SweepConfig, output: str | None, width: int) -> SentSweep:
    """Sends a sweep and returns at once.

    Args:
        client: The cluster.
        config: The sweep, its name included.
        output: A folder of sweeps that all machines of the cluster see, or a URI; None for one on
            the head.
        width: Columns of the tables that it prints.

    Raises:
        ConfigError: If the local files are too large, or would not reach every node, or the
            cluster does not take the job.
    """
    job_id = f"{config.name}-{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory(prefix="kdray-submit-") as folder:
        files = pack(config, Path(folder))
        own = f"{OWN_OUTPUT}/{job_id}"
        sent = SentSweep(job_id, config.name, output or own, output is not None, files)
        _check_seen(sent, config)
        try:
            client.submit_job(
                entrypoint=_entrypoint(sent, width),
                submission_id=job_id,
                runtime_env={"working_dir": folder, **carried()},
                metadata={_KEY: json.dumps(asdict(sent))},
            )
        except (LostError, RuntimeError, ValueError) as error:
            message = (
                f"the sweep could not be sent: {str(error).strip().splitlines()[-1]}; if it "
                f"arrived all the same, `{following(client, job_id)}` finds it"
            )
            raise ConfigError([Problem("--address", message)]) from None
    return sent


def following(client: JobClient, job_id: str) -> str:
    """Returns the command that follows a job."""
    return f"kdray submit --follow {job_id} --address {client.get_address()}"


def sent_sweep(client: JobClient, job_id: str) -> SentSweep:
    """Returns a sweep that was sent before.

    Raises:
        ConfigError: If the cluster has no such job, or it is none of `kdray submit`.
        LostError: If the cluster does not answer.
    """
    metadata = client.get_job_info(job_id).metadata or {}
    try:
        sent = SentSweep(**json.loads(metadata[_KEY]))
    except (KeyError, TypeError, ValueError):
        raise ConfigError([Problem("--follow", f"{job_id} is no job of `kdray submit`")]) from None
    if sent.job_id != job_id or not SAFE_NAME.fullmatch(sent.name):
        raise ConfigError([Problem("--follow", f"{job_id} has a name that is none: {sent.name!r}")])
    return sent


def carried() -> dict[str, Any]:
    """Returns the part of a runtime environment that carries this package."""
    return {"py_modules": [str(Path(kdray.__file__).parent)], "excludes": ["__pycache__"]}


def in_shell(path: str) -> str:
    """Returns a path as a shell takes it; `~` at its start stays the home."""
    home, _, rest = path.partition("/")
    return f"~/{shlex.quote(rest)}" if home == "~" else shlex.quote(path)


def _check_seen(sent: SentSweep, config: SweepConfig) -> None:
    """Refuses files that only the head would have, where the teacher may be prepared elsewhere."""
    learnt_from = {str((config.base / path).resolve()) for path in config.search.warm_start}
    needed = sorted(set(sent.files.values()) - learnt_from)
    if sent.is_stored and needed:
        message = (
            f"a job carries {', '.join(needed)} to the head alone, and with an output in an "
            "object store the other nodes do not see them; let the profile's `output` be a folder "
            "that all nodes share, name data and models of the hub, or put the files where every "
            "node reads them, name them by absolute paths and run `kdray sweep --address auto` "
            "on the head"
        )
        raise ConfigError([Problem("local files", message)])


def _entrypoint(sent: SentSweep, width: int) -> str:
    inputs, output = in_shell(sent.inputs), in_shell(sent.output)
    return (
        f"mkdir -p {inputs} && cp -R . {inputs} && cd {inputs} && "
        f"COLUMNS={width} exec python -m kdray sweep {SPACE} "
        f"--name {sent.name} --output {output} --address auto"
    )
