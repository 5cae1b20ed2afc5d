"""Preparing a sweep, once: in a Ray task, whose progress is streamed.

The driver has its hands free for what it needs to import, and need not import the models' library.
"""

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ray
import torch

from kdray.data.dataset import learnt_rows
from kdray.errors import ConfigError, KdrayError, Problem
from kdray.preparation import PreparedSweep, Say, prepare, rebuild
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig
from kdray.sweep.resources import alive_nodes
from kdray.sweep.starting import is_joined
from kdray.teacher.keeping import Place
from kdray.waiting import heard_by, progress

# A line, or what is done, how much of it, and of how much.
Told = str | tuple[str, int, int]
INTERVAL_S = 1.0
_STORE = "object_store_memory"


@dataclass(frozen=True)
class Prepared:
    """A prepared sweep, as the driver knows it: not by its content, which it need not read.

    Attributes:
        reference: Of the prepared sweep in Ray's object store.
        examples: Of all that students learn from.
    """

    reference: ray.ObjectRef
    examples: int


def prepare_sweep(
    config: SweepConfig, folder: SweepFolder, address: str | None, gpus: float, say: Say
) -> Prepared:
    """Prepares a sweep where the trials will run, or rebuilds it if its teacher is on disk.

    Args:
        config: The sweep.
        folder: Its folder; all but what is large of it is here afterwards, and `teacher/` is
            written before anything else depends on it.
        address: The Ray cluster's address.
        gpus: GPUs of the task; it takes all the cores of its node.
        say: Takes a line about what is being done.

    Raises:
        KdrayError: What `prepare` raises.
    """
    nodes = _able_nodes(gpus)
    cores = min(node.get("CPU", 0.0) for node in nodes)
    task = _prepare.options(num_cpus=cores, num_gpus=gpus, max_retries=1)
    try:
        place = Place(folder, free_store_bytes(nodes))
        prepared = _told(iter(task.remote(config, place, int(cores))), say)
    except StopIteration:
        # Its node was lost with the teacher on disk: the task that took over had less to say.
        return prepare_sweep(config, folder, address, gpus, say)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, KdrayError):
            raise error.cause from None
        raise
    folder.fetch(folder.root)
    if is_joined(address):
        # The node that prepared may be lost; the driver's own lives as long as the sweep.
        return replace(prepared, reference=ray.put(ray.get(prepared.reference)))
    return prepared


def _told(stream: Iterator[ray.ObjectRef], say: Say) -> Prepared:
    """Passes on what a task says of its work, and returns what comes of it."""
    while isinstance(told := ray.get(next(stream)), str | tuple):
        if isinstance(told, str):
            say(told)
        else:
            progress(*told)
    return Prepared(next(stream), told)


def _able_nodes(gpus: float) -> list[dict[str, float]]:
    """Returns the resources of every node that can prepare; a head often has no cores at all.

    Raises:
        ConfigError: If no node can.
    """
    able = [n for n in alive_nodes() if n.get("CPU", 0.0) >= 1 and n.get("GPU", 0.0) >= gpus]
    if not able:
        message = f"no node has a CPU core and {gpus:g} GPUs together"
        raise ConfigError([Problem("resources.gpus_per_trial", message)])
    return able


def free_store_bytes(nodes: Sequence[Mapping[str, float]]) -> float:
    """Returns what is free in the smallest of the nodes' object stores, as if all is used there.

    Args:
        nodes: Resources of each node.
    """
    there, free = ray.cluster_resources(), ray.available_resources()
    used = float(there.get(_STORE, 0.0) - free.get(_STORE, 0.0))
    return max(0.0, min(node.get(_STORE, 0.0) for node in nodes) - used)


def _prepared(config: SweepConfig, place: Place, say: Say) -> PreparedSweep:
    assert place.folder is not None, "a sweep has a folder"
    place.folder.fetch(place.folder.teacher)
    begun = place.folder.verification_json.exists()
    prepared = rebuild(config, place) if begun else prepare(config, say, place)
    place.folder.share(place.folder.teacher)
    return prepared


@ray.remote(num_returns="streaming")  # type: ignore[untyped-decorator]  # ray has no types
def _prepare(
    config: SweepConfig, place: Place, threads: int
) -> Iterator[Told | int | PreparedSweep]:
    """Yields lines and how far something has come, then the examples, then the prepared sweep."""
    torch.set_num_threads(max(1, threads))
    told: queue.Queue[Told | None] = queue.Queue()
    outcome: dict[str, Any] = {}

    def work() -> None:
        torch.set_num_threads(max(1, threads))
        try:
            with heard_by(lambda *far: told.put(far), INTERVAL_S):
                outcome["prepared"] = _prepared(config, place, told.put)
        except BaseException as error:
            outcome["error"] = error
        finally:
            told.put(None)

    thread = threading.Thread(target=work)
    thread.start()
    while (one := told.get()) is not None:
        yield one
    thread.join()
    if "error" in outcome:
        raise outcome["error"]
    yield learnt_rows(outcome["prepared"].splits)
    yield outcome["prepared"]
