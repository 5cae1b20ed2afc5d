"""The teacher's outputs in real Ray processes: shared, not copied, and computed once."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import ray
from rich.console import Console

from kdray.results.folder import SweepFolder
from kdray.sweep.opening import Launch
from kdray.sweep.preparing import free_store_bytes
from kdray.sweep.run import run_sweep
from kdray.teacher.cache import Plan
from kdray.teacher.files import MappedFile
from kdray.teacher.layout import Layout
from kdray.teacher.outputs import TeacherOutputs
from tests.tiny_sweep import tiny_config

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]

LENGTHS = np.full(4000, 20)
NAMES = ("hidden.1", "hidden.2")


@ray.remote(num_cpus=0.5)
class Reader:
    """A worker that reads a cache as a trial does."""

    def read(self, outputs: TeacherOutputs) -> float:
        """Reads every example in batches; returns the sum of all values."""
        self.outputs = outputs
        batches = np.array_split(np.arange(len(LENGTHS)), 100)
        return float(
            sum(
                outputs.layout.take(name, outputs.array(name), rows, 20).sum(dtype=np.float64)
                for rows in batches
                for name in NAMES
            )
        )

    def memory(self) -> tuple[float, float]:
        """Returns the memory of this process alone, and with what it shares, in MB."""
        found = psutil.Process().memory_full_info()
        return found.uss / 1e6, found.rss / 1e6


def large(folder: Path, where: str) -> TeacherOutputs:
    """Outputs of 2 times 61 MB."""
    layout, columns = Layout.of(LENGTHS), dict[str, Any]()
    for name in NAMES:
        array = np.ones((int(layout.offsets[1][-1]), 384), np.float16)
        np.save(folder / f"{name}.npy", array)
        columns[name] = MappedFile(folder / f"{name}.npy") if where == "disk" else array
    return TeacherOutputs(layout, columns, Plan())


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_workers_of_a_node_share_one_cache_and_copy_nothing(tmp_path: Path, where: str) -> None:
    outputs = large(tmp_path, where)
    size_mb = outputs.size_mb(NAMES)
    assert size_mb > 100
    readers = [Reader.remote() for _ in range(2)]
    empty = ray.put(
        TeacherOutputs(outputs.layout, {name: np.ones((80000, 1)) for name in NAMES}, Plan())
    )
    ray.get([reader.read.remote(empty) for reader in readers])
    before = ray.get([reader.memory.remote() for reader in readers])
    shared = ray.put(outputs)
    sums = ray.get([reader.read.remote(shared) for reader in readers])
    after = ray.get([reader.memory.remote() for reader in readers])
    assert sums == [LENGTHS.sum() * 384 * 2.0] * 2
    for (own, whole), (own_before, whole_before) in zip(after, before, strict=True):
        assert whole - whole_before > 0.9 * size_mb
        assert own - own_before < 0.2 * size_mb


def test_outputs_on_disk_travel_as_paths(tmp_path: Path) -> None:
    outputs = large(tmp_path, "disk")
    free = ray.available_resources()["object_store_memory"]
    reference = ray.put(outputs)
    assert free - ray.available_resources()["object_store_memory"] < 10e6
    assert ray.get(reference).columns["hidden.1"].path == tmp_path / "hidden.1.npy"


def test_what_is_free_is_counted_as_if_all_were_used_on_the_smallest_node() -> None:
    there = ray.cluster_resources()["object_store_memory"]
    used = there - ray.available_resources()["object_store_memory"]
    nodes = [{"object_store_memory": there}, {"object_store_memory": there / 2}]
    assert free_store_bytes(nodes) == pytest.approx(there / 2 - used, abs=20e6)
    assert free_store_bytes([{"CPU": 4.0}]) == 0.0


def swept(output: Path, name: str, **cache: Any) -> dict[str, Any]:
    config = tiny_config(output, name=name, teacher={"cache": cache}, training={"epochs": 2})
    text = io.StringIO()
    run_sweep(config, SweepFolder(output / name), Launch(""), Console(file=text, width=500))
    summary: dict[str, Any] = json.loads((output / name / "summary.json").read_text())
    return summary | {"text": text.getvalue()}


@pytest.fixture(scope="module")
def sweeps(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Sweeps of the same teacher and data, one after the other."""
    output = tmp_path_factory.mktemp("caches")
    return {where: swept(output, where, where=where) for where in ("memory", "disk", "off")}


def test_a_sweep_computes_the_outputs_once_and_the_next_one_takes_them(
    sweeps: dict[str, dict[str, Any]],
) -> None:
    first, second = sweeps["memory"], sweeps["disk"]
    assert first["teacher_forward_examples"] == 200
    assert second["teacher_forward_examples"] == 0
    kept, mapped = first["teacher_outputs"], second["teacher_outputs"]
    assert (kept["disk_mb"], kept["reused"]) == (0.0, False)
    assert (mapped["memory_mb"], mapped["reused"]) == (0.0, True)
    assert mapped["disk_mb"] == kept["memory_mb"] > 0
    assert "MB on disk, taken from an earlier sweep" in second["text"]


def test_a_sweep_without_a_cache_says_what_the_teacher_read_in_the_loop(
    sweeps: dict[str, dict[str, Any]],
) -> None:
    # 3 trials of 2 epochs; every method of the space has a teacher.
    summary = sweeps["off"]
    assert summary["trials"]["completed"] == 3
    assert summary["teacher_forward_examples"] == 3 * 2 * 200
    assert summary["teacher_outputs"]["memory_mb"] == summary["teacher_outputs"]["disk_mb"] == 0.0
    assert "logits" in summary["teacher_outputs"]["in_loop"]
    assert "in the loop (teacher.cache)" in summary["text"]


def test_where_the_outputs_are_changes_no_trial(sweeps: dict[str, dict[str, Any]]) -> None:
    one, other = sweeps["memory"], sweeps["disk"]
    assert one["front"] == other["front"]
    assert one["hypervolume"] == other["hypervolume"]
