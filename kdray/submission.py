"""`kdray submit`: the same sweep on a cluster, followed from here."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from kdray.commands.fronts import front_document, show_front
from kdray.commands.speaking import ALOUD, Voice, print_json
from kdray.config.loading import read_document
from kdray.errors import ConfigError, Problem, StoppedError, SweepError
from kdray.loading import load_sweep_config
from kdray.locations import check_writable, new_folder, output_folder
from kdray.profile import profile_output
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig
from kdray.waiting import shown_on

if TYPE_CHECKING:
    from kdray.sweep.job_client import JobClient
    from kdray.sweep.submitting import SentSweep


@dataclass(frozen=True)
class Place:
    """Where a sweep is sent, and where its results go.

    Attributes:
        address: Of the head's dashboard.
        output: The folder of sweeps here.
        voice: How to speak of it.
    """

    address: str
    output: Path
    voice: Voice = ALOUD

    def show(self, text: str) -> None:
        """Shows a piece of the job's log."""
        if not self.voice.quiet:
            stream = sys.stderr if self.voice.as_json else sys.stdout
            stream.write(text)
            stream.flush()


def submit_sweep(
    space: Path, assignments: Sequence[str], profile: Path | None, place: Place
) -> None:
    """Checks a search space, sends it to a cluster and follows it to its end.

    Args:
        space: The search-space file.
        assignments: `key=value` of the command line.
        profile: Where and how it runs; its `output` is a folder that the whole cluster sees.
        place: Where it is sent, and where its results go.

    Raises:
        ConfigError: If the file is wrong or the cluster cannot be reached; nothing is sent then.
        KdrayError: If the sweep failed, with the exit code that it has on the cluster.
    """
    config = load_sweep_config(space, assignments, profile)
    shared = _shared_output(profile)
    config = _named(config, shared, place.output, assignments)
    if shared is None:
        check_writable(SweepFolder(place.output.resolve()))
    client = _connected(place.address)
    from kdray.sweep.submitting import send_sweep

    console = place.voice.progress()
    sent = send_sweep(client, config, shared, console.width)
    again = f"kdray submit --follow {sent.job_id} --address {place.address}"
    console.print(f"job {sent.job_id} (`{again}` follows it)", soft_wrap=True, highlight=False)
    _follow(client, sent, place)


def follow_sweep(job_id: str, place: Place) -> None:
    """Follows a sweep that was sent before, from the beginning of its log.

    Args:
        job_id: The job.
        place: Where it was sent, and where its results go.

    Raises:
        ConfigError: If the cluster cannot be reached or has no such job.
        KdrayError: If the sweep failed, with the exit code that it has on the cluster.
    """
    client = _connected(place.address)
    from kdray.sweep.following import patiently
    from kdray.sweep.submitting import sent_sweep

    sent = patiently(lambda: sent_sweep(client, job_id), _say)
    _follow(client, sent, place)


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


def _follow(client: "JobClient", sent: "SentSweep", place: Place) -> None:
    from kdray.sweep.following import follow

    with _left_running(sent.job_id, place.address):
        ended = follow(client, sent.job_id, place.show, _say)
        if ended.driver_exit_code != ConfigError.exit_code:
            try:
                _show_end(sent, _bring(client, sent, place), place.voice)
            except SweepError as error:
                if ended.driver_exit_code == 0:
                    raise
                _say(f"warning: {error}")
    _raise_for(ended, sent, place.address)


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


def _bring(client: "JobClient", sent: "SentSweep", place: Place) -> SweepFolder | None:
    """Fetches the results, unless they can be seen from here; returns where they are here."""
    from kdray.sweep.fetching import fetch, job_of

    if sent.is_stored:
        return None
    here, target = SweepFolder(Path(sent.folder)), SweepFolder(place.output.resolve() / sent.name)
    if sent.shared and here.sweep_yaml.is_file():
        return here
    if job_of(target) != sent.job_id:
        target = new_folder(str(place.output), sent.name, asked=False)
        console = place.voice.progress()
        console.print("fetching the results", highlight=False)
        with shown_on(console):
            fetch(client, sent, target, _say)
    return target


def _show_end(sent: "SentSweep", folder: SweepFolder | None, voice: Voice) -> None:
    """Says where the results are, and what was found where that can be read and was not shown."""
    if folder is not None and not folder.root.exists():
        return
    where = sent.folder if folder is None else str(folder.root)
    known = folder if folder is not None and folder.summary_json.exists() else None
    if voice.as_json:
        document = front_document(known) if known else {}
        print_json({"name": sent.name, "folder": where, **document, "job_id": sent.job_id})
    elif voice.quiet and known:
        show_front(known, voice.result())
    voice.result().print(f"results: {where}", soft_wrap=True, highlight=False)


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


def _say(text: str) -> None:
    Console(stderr=True).print(text, soft_wrap=True, highlight=False, markup=False)
