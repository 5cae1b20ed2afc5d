"""Starting Ray, quietly, while the driver still imports what it needs."""

import atexit
import importlib
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import ray
from ray.exceptions import AuthenticationError, RayError

from kdray.errors import SweepError
from kdray.sweep.forking import VARIABLES, forking_python
from kdray.sweep.joining import ADDRESS, WANTS_TOKEN, joined_address, no_cluster

# How often Ray's start on this machine is tried.
TRIES = 3


def start_ray(address: str | None) -> bool:
    """Connects to a cluster, or starts Ray on this machine, quietly.

    Returns:
        Whether Ray was started on this machine, just now.

    Raises:
        ConfigError: If there is no cluster at the address, or it cannot be joined.
        SweepError: If Ray does not start here.
    """
    if ray.is_initialized():
        return False
    joined = joined_address(address)
    settings: dict[str, Any] = {
        # Without an address Ray would join whatever cluster was last started on this machine.
        "address": joined or "local",
        "log_to_driver": False,
        "logging_level": logging.ERROR,
    }
    try:
        if joined:
            ray.init(**settings, runtime_env={"env_vars": VARIABLES})
        else:
            _start_here(settings | {"include_dashboard": False})
    except (ConnectionError, ValueError, RuntimeError, RayError) as error:
        if joined is None:
            raise
        raise no_cluster(joined, _reason(error)) from None
    return joined is None


def _start_here(settings: dict[str, Any]) -> None:
    """Starts Ray on this machine; on a busy one its half a minute is sometimes too short.

    Its processes inherit the variables. Where workers are forked, those that Ray starts before it
    is asked to would not be, and be of no use.
    """
    variables = dict(VARIABLES)
    if python := forking_python():
        settings = settings | {"runtime_env": {"py_executable": python}}
        variables["RAY_prestart_worker_first_driver"] = "false"
    for left in reversed(range(TRIES)):
        try:
            with _inherited(variables):
                ray.init(**settings)
            # Before Ray's own, which waits half a second for messages that are not shown here.
            atexit.register(ray.shutdown)
        except Exception as error:  # Ray raises no narrower one
            if "timed out during startup" not in str(error):
                raise
            ray.shutdown()
            if not left:
                message = f"Ray did not start on this machine in {TRIES} tries; is it very busy?"
                raise SweepError(message) from error
        else:
            return


@contextmanager
def _inherited(variables: Mapping[str, str]) -> Iterator[None]:
    """Lets processes that are started inside the block have environment variables."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _reason(error: Exception) -> str:
    """Returns why a cluster could not be joined, and the way out."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    # Ray puts what its server said into the text of the error before.
    if isinstance(error, AuthenticationError) or "AuthenticationError" in str(error.__cause__):
        return WANTS_TOKEN
    if lines[0].startswith("Version mismatch"):
        told = " ".join(line.strip() for line in lines)
        return f"{told}; install here what the cluster runs"
    return f"{lines[0]}; {ADDRESS}"


def is_joined(address: str | None) -> bool:
    """Returns whether the cluster was there before: nodes may come and go."""
    return joined_address(address) is not None


@contextmanager
def preloading(*modules: str) -> Iterator[None]:
    """Imports modules in the background while this thread waits for other processes.

    They are there when the block is left: two threads that import parts of one package get halves
    of its modules where those import each other, as Ray Tune's do. What cannot be imported is left
    to whoever needs it.
    """

    def load() -> None:
        with suppress(Exception):
            for name in modules:
                importlib.import_module(name)

    loading = threading.Thread(target=load, name="preload", daemon=True)
    loading.start()
    yield
    loading.join()


def quiet_ray() -> None:
    """Keeps Ray Tune's tables, loggers, warnings and snapshots away; kdray has its own.

    Reports need not hold the objectives: Optuna is told what is on disk (see `StudySearch`).
    """
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["TUNE_DISABLE_STRICT_METRIC_CHECKING"] = "1"
    # Tune's own snapshots grow with the number of trials, and nobody restores from them.
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "inf"
    logging.getLogger("ray").setLevel(logging.CRITICAL)
