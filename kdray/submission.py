"""`kdray submit`: the same sweep on a cluster, followed from here."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from kdray.config.loading import read_document
from kdray.errors import ConfigError, Problem, StoppedError, SweepError
from kdray.loading import load_sweep_config
from kdray.locations import new_folder, output_folder
from kdray.profile import profile_output
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig

if TYPE_CHECKING:
    from kdray.sweep.job_client import JobClient
    from kdray.sweep.submitting import SentSweep


def submit_sweep(
    space: Path, assignments: Sequence[str], profile: Path | None, address: str, output: Path
) -> None:
    """Checks a search space, sends it to a cluster and follows it to its end.

    Args:
        space: The search-space file.
        assignments: `key=value` of the command line.
        profile: Where and how it runs; its `output` is a folder that the whole cluster sees.
        address: Of the head's dashboard.
        output: The folder of sweeps here, for the results.

    Raises:
        ConfigError: If the file is wrong or the cluster cannot be reached; nothing is sent then.
        KdrayError: If the sweep failed, with the exit code that it has on the cluster.
    """
    config = load_sweep_config(space, assignments, profile)
    shared = _shared_output(profile)
    config = _named(config, shared, output, assignments)
    client = _connected(address)
    from kdray.sweep.submitting import send_sweep

    console = Console()
    sent = send_sweep(client, config, shared, console.width)
    again = f"kdray submit --follow {sent.job_id} --address {address}"
    console.print(f"job {sent.job_id} (`{again}` follows it)", soft_wrap=True, highlight=False)
    _follow(client, sent, address, output, console)


def follow_sweep(job_id: str, address: str, output: Path) -> None:
    """Follows a sweep that was sent before, from the beginning of its log.

    Args:
        job_id: The job.
        address: Of the head's dashboard.
        output: The folder of sweeps here, for the results.

    Raises:
        ConfigError: If the cluster cannot be reached or has no such job.
        KdrayError: If the sweep failed, with the exit code that it has on the cluster.
    """
    client = _connected(address)
    from kdray.sweep.following import patiently
    from kdray.sweep.submitting import sent_sweep

    console = Console()
    sent = patiently(lambda: sent_sweep(client, job_id), _say)
    _follow(client, sent, address, output, console)


def _shared_output(profile: Path | None) -> str | None:
    """Returns the folder of sweeps that a profile names; None if it names none."""
    if profile is None or profile_output(read_document(profile)) is None:
        return None
    output = output_folder(profile)
    if "://" not in output and not Path(output).is_absolute():
        message = (
            "must be an absolute path that every machine of the cluster sees, because a job runs "
            f"in a folder of its own, but got {output!r}"
        )
        raise ConfigError([Problem("output", message)], str(profile))
    return output


def _named(
    config: SweepConfig, shared: str | None, output: Path, assignments: Sequence[str]
) -> SweepConfig:
    """Returns the sweep with a name that is free, as far as that can be seen from here."""
    asked = any(assignment.startswith("name=") for assignment in assignments)
    name = new_folder(shared or str(output), config.name, asked).name
    if shared is None:
        return config
    return replace(config, name=name, content={**config.content, "name": name})


def _connected(address: str) -> "JobClient":
    """Returns a client of the cluster, with the token that is where Ray looks for it."""
    from kdray.sweep.joining import send_token

    send_token()
    # Else another variable of Ray's would win over the command line.
    os.environ["RAY_API_SERVER_ADDRESS"] = address
    from kdray.sweep.job_client import connect

    return connect(address)


def _follow(
    client: "JobClient", sent: "SentSweep", address: str, output: Path, console: Console
) -> None:
    from kdray.sweep.following import follow

    with _left_running(sent.job_id, address):
        ended = follow(client, sent.job_id, _show, _say)
        if ended.driver_exit_code != ConfigError.exit_code:
            try:
                _bring(client, sent, output, console)
            except SweepError as error:
                if ended.driver_exit_code == 0:
                    raise
                _say(f"warning: {error}")
    _raise_for(ended, sent, address)


@contextmanager
def _left_running(job_id: str, address: str) -> Iterator[None]:
    """Says on Ctrl-C what becomes of the job."""
    try:
        yield
    except KeyboardInterrupt:
        raise StoppedError(
            f"no longer followed; job {job_id} goes on\n"
            f"  follow it: kdray submit --follow {job_id} --address {address}\n"
            f"  stop it:   ray job stop {job_id} --address {address}"
        ) from None


def _bring(client: "JobClient", sent: "SentSweep", output: Path, console: Console) -> None:
    """Fetches the results, unless they can be seen from here, and says where they are."""
    from kdray.sweep.fetching import fetch, job_of

    if sent.is_stored:
        console.print(f"results: {sent.folder}", soft_wrap=True, highlight=False)
        return
    here, target = SweepFolder(Path(sent.folder)), SweepFolder(output.resolve() / sent.name)
    if sent.shared and here.sweep_yaml.is_file():
        target = here
    elif job_of(target) != sent.job_id:
        target = new_folder(str(output), sent.name, asked=False)
        console.print("fetching the results", highlight=False)
        if not fetch(client, sent, target, _say):
            return
    console.print(f"results: {target.root}", soft_wrap=True, highlight=False)


def _raise_for(ended: Any, sent: "SentSweep", address: str) -> None:
    """Raises what ends this process with the exit code of the sweep."""
    code = ended.driver_exit_code
    if ended.status == "STOPPED" or code == StoppedError.exit_code:
        raise StoppedError(f"job {sent.job_id} was stopped before the end of the sweep")
    if code == ConfigError.exit_code:
        message = "was refused on the cluster; the reason stands above"
        raise ConfigError([Problem(sent.job_id, message)], address)
    if code is None:
        raise SweepError(f"job {sent.job_id} ended {ended.status.lower()}: {ended.message}")
    if code:
        raise SweepError(f"job {sent.job_id} ended with exit code {code}; see above")


def _show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _say(text: str) -> None:
    Console(stderr=True).print(text, soft_wrap=True, highlight=False, markup=False)
