"""Preparing a sweep on the cluster: one Ray task, its progress streamed, its result kept there."""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import ray
import torch

from kdray.errors import ConfigError, KdrayError, Problem
from kdray.preparation import PreparedSweep, prepare, rebuild, store
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig


def prepare_on_cluster(
    config: SweepConfig, folder: SweepFolder, gpus: float, say: Callable[[str], None]
) -> ray.ObjectRef:
    """Prepares a sweep where the trials will run, or rebuilds it if its teacher is on disk.

    Args:
        config: The sweep.
        folder: Its folder; `teacher/` is written before anything else depends on it.
        gpus: GPUs of the task; it takes all the cores of its node.
        say: Takes a line about what is being done.

    Returns:
        The prepared sweep in Ray's object store.

    Raises:
        KdrayError: What `prepare` raises.
    """
    cores = min(node.get("CPU", 0.0) for node in _able_nodes(gpus))
    task = _prepare.options(num_cpus=cores, num_gpus=gpus, max_retries=1)
    again = folder.verification_json.exists()
    try:
        stream = iter(task.remote(config, folder, again, int(cores)))
        while True:
            reference = next(stream)
            line = ray.get(reference)
            if line is None:
                return next(stream)
            say(line)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, KdrayError):
            raise error.cause from None
        raise


def _able_nodes(gpus: float) -> list[dict[str, float]]:
    """Returns the resources of every node that can prepare; a head often has no cores at all.

    Raises:
        ConfigError: If no node can.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    able = [n for n in nodes if n.get("CPU", 0.0) >= 1 and n.get("GPU", 0.0) >= gpus]
    if not able:
        message = f"no node has a CPU core and {gpus:g} GPUs together"
        raise ConfigError([Problem("resources.gpus_per_trial", message)])
    return able


@ray.remote(num_returns="streaming")  # type: ignore[untyped-decorator]  # ray has no types
def _prepare(
    config: SweepConfig, folder: SweepFolder, again: bool, threads: int
) -> Iterator[str | PreparedSweep | None]:
    """Yields lines of progress, then None, then the prepared sweep."""
    torch.set_num_threads(max(1, threads))
    lines: queue.Queue[str | None] = queue.Queue()
    outcome: dict[str, Any] = {}

    def work() -> None:
        torch.set_num_threads(max(1, threads))
        try:
            if again:
                outcome["prepared"] = rebuild(config, folder)
            else:
                outcome["prepared"] = prepare(config, lines.put)
                store(outcome["prepared"], folder)
        except BaseException as error:
            outcome["error"] = error
        finally:
            lines.put(None)

    thread = threading.Thread(target=work)
    thread.start()
    while (line := lines.get()) is not None:
        yield line
    thread.join()
    if "error" in outcome:
        raise outcome["error"]
    yield None
    yield outcome["prepared"]
