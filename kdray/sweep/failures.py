"""Why a trial failed, and whether it may go better another time."""

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from ray import cloudpickle
from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError

from kdray.results.records import EpochReport
from kdray.trial import TrialError
from kdray.trial_folder import Failure

FULL = (errno.ENOSPC, errno.EDQUOT)


def may_pass(error: BaseException) -> bool:
    """Returns whether what ended a trial may be gone when it is tried again.

    Memory that others used, a GPU that has to be set up anew, a disk or network that was away: yes.
    A loss that is not finite, or options that do not fit: no.
    """
    passing = (OSError, MemoryError, torch.OutOfMemoryError, torch.AcceleratorError)
    return is_full(error) or any(isinstance(cause, passing) for cause in _causes(error))


def is_full(error: BaseException) -> bool:
    """Returns whether it was for want of space on a disk."""
    return any(_says_full(cause) for cause in _causes(error))


def _says_full(cause: BaseException) -> bool:
    # Libraries that are not written in Python raise errors of their own, with the system's words.
    words = any(os.strerror(number) in str(cause) for number in FULL)
    return words or (isinstance(cause, OSError) and cause.errno in FULL)


def has_no_space(folder: Path) -> bool:
    """Returns whether not even a small file can be written to a folder; it tries."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".space.") as file:
            file.write(bytes(1_000_000))
            file.flush()
    except OSError as error:
        return error.errno in FULL
    return False


def error_of(trial: Any) -> BaseException | None:
    """Returns what Ray Tune wrote down of a trial's last error, in this sweep's own scratch."""
    file = trial.pickled_error_file
    if file is None or not Path(file).exists():
        return None
    error: BaseException = cloudpickle.loads(Path(file).read_bytes())
    return error


def failure_of(error: BaseException | None, last: EpochReport | None, duration_s: float) -> Failure:
    """Returns what Ray says of a trial that it gave up, in one line.

    Args:
        error: What Ray Tune keeps of it; None where it knows nothing.
        last: The last report of the trial.
        duration_s: Seconds since it was last begun.
    """
    for cause in _causes(error):
        if isinstance(cause, TrialError):
            return Failure(cause.stage, cause.reason, duration_s)
    done = last is not None and last.epoch == last.epochs
    return Failure("evaluate" if done else "distil", _reason(error), duration_s)


def _reason(error: BaseException | None) -> str:
    if isinstance(error, OutOfMemoryError):
        return "the worker was killed because its node ran out of memory"
    if isinstance(error, RayActorError):
        return f"the worker died: {_told(error)}"
    if error is None:
        return "the worker ended without a result"
    first = str(error.cause if isinstance(error, RayTaskError) else error).strip().splitlines()
    return first[0] if first else type(error).__name__


def _told(error: RayActorError) -> str:
    """Returns what Ray found out of a worker's end, without its ids and addresses."""
    lines = [line.strip() for line in str(error).splitlines()]
    found = [line for line in lines if line.startswith("The actor")]
    return (found or ["killed, or its node was lost"])[-1].split(" Worker exit")[0]


def _causes(error: BaseException | None) -> Iterator[Any]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = getattr(error, "cause", None) or error.__cause__
