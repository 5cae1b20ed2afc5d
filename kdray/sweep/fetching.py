"""Brings a sweep's folder back from a cluster, through nothing but the job API.

Small jobs on the head print it to their logs, part by part (see `kdray.results.sending`).
"""

import base64
import hashlib
import json
import secrets
import tarfile
import tempfile
import time
from typing import IO, Any

import yaml

from kdray.errors import ConfigError, SweepError
from kdray.parcel import moved
from kdray.results.folder import SweepFolder, write_text, written_whole
from kdray.results.sending import MARK
from kdray.results.sweep_file import read_sweep_file
from kdray.sweep.following import Say, patiently
from kdray.sweep.job_client import FailedError, JobClient
from kdray.sweep.submitting import SentSweep, carried, following, in_shell
from kdray.waiting import progress

_POLL_S = 1.0


def fetch(client: JobClient, sent: SentSweep, target: SweepFolder, say: Say) -> bool:
    """Writes a sweep's folder as it is on the cluster, without the teacher's outputs.

    Args:
        client: The cluster.
        sent: The sweep.
        target: The folder to write, whole or not at all.
        say: Takes what there is to say about the connection.

    Returns:
        Whether there was one: a sweep that was refused leaves nothing.

    Raises:
        SweepError: If it cannot be sent, or arrives damaged.
    """
    with tempfile.TemporaryFile() as archive:
        if not _receive(client, sent, archive, say):
            return False
        archive.seek(0)
        unpack(archive, sent, target)
    return True


def unpack(archive: IO[bytes], sent: SentSweep, target: SweepFolder) -> None:
    """Writes the folder that an archive holds, whole or not at all.

    Raises:
        SweepError: If it would write anywhere else, or is no archive.
    """
    try:
        with written_whole(target.root) as staging, tarfile.open(fileobj=archive) as tar:
            tar.extractall(staging, filter="data")
            _settle(SweepFolder(staging), sent)
    except tarfile.TarError as error:
        raise SweepError(f"the results of {sent.job_id} are not unpacked: {error}") from None


def job_of(folder: SweepFolder) -> str | None:
    """Returns the job that a sweep's folder was fetched from, or None."""
    try:
        job: str | None = read_sweep_file(folder).get("job")
    except ConfigError:
        return None
    return job


def _receive(client: JobClient, sent: SentSweep, archive: IO[bytes], say: Say) -> bool:
    """Writes the archive; returns if there was anything to send."""
    parts, part, digest = 1, 0, hashlib.sha256()
    head: dict[str, Any] = {}
    # Two machines may fetch at once.
    own = f"results-{secrets.token_hex(4)}"
    while part < parts:
        head, content = _part(client, sent, own, part, say)
        parts, part = head["parts"], part + 1
        progress("fetching the results", part, parts)
        archive.write(content)
        digest.update(content)
    if parts and digest.hexdigest() != head["archive"]:
        raise SweepError(_damaged(client, sent))
    return parts > 0


def _part(
    client: JobClient, sent: SentSweep, own: str, part: int, say: Say
) -> tuple[dict[str, Any], bytes]:
    """Returns what one part is, and its content."""
    job_id, archive = f"{sent.job_id}-{own}-{part}", in_shell(f"{sent.inputs}/{own}.tar.gz")
    order = f"python -m kdray.results.sending {in_shell(sent.folder)} {archive} {part}"
    patiently(lambda: _order(client, job_id, order), say)
    while not (details := patiently(lambda: client.get_job_info(job_id), say)).status.is_terminal():
        time.sleep(_POLL_S)
    log = patiently(lambda: client.get_job_logs(job_id), say)
    if details.driver_exit_code != 0:
        said = (log.strip() or details.message or "no reason given").splitlines()[-1]
        raise SweepError(f"the results cannot be fetched from {sent.folder} on the head: {said}")
    lines = [line.removeprefix(MARK) for line in log.splitlines() if line.startswith(MARK)]
    head, content = json.loads(lines[0]), b"".join(base64.b64decode(line) for line in lines[1:])
    if head["parts"] and hashlib.sha256(content).hexdigest() != head["part"]:
        raise SweepError(_damaged(client, sent))
    return head, content


def _order(client: JobClient, job_id: str, order: str) -> None:
    """Starts a job, unless an earlier call did whose answer was lost."""
    if any(job.submission_id == job_id for job in client.list_jobs()):
        return
    try:
        client.submit_job(entrypoint=order, submission_id=job_id, runtime_env=carried())
    except FailedError as error:
        raise SweepError(f"the cluster takes no job that sends the results: {error}") from None


def _damaged(client: JobClient, sent: SentSweep) -> str:
    again = following(client, sent.job_id)
    return f"the results arrived damaged; fetch them again with `{again}`"


def _settle(folder: SweepFolder, sent: SentSweep) -> None:
    """Lets a fetched sweep name the files here, the job that it comes from, and no file there."""
    written = yaml.safe_load(folder.sweep_yaml.read_text(encoding="utf-8"))
    config = moved(written["config"], lambda value: sent.files.get(value, value))
    written.pop("source", None)
    text = yaml.safe_dump(
        written | {"config": config, "job": sent.job_id}, sort_keys=False, allow_unicode=True
    )
    write_text(folder.sweep_yaml, text)
