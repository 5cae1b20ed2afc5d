"""Whether every node of a cluster sees the folder that its trials write to."""

import uuid
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from kdray.errors import ConfigError, Problem


def check_every_node_sees(folder: Path) -> None:
    """Checks that what one node writes to a folder the others can read.

    Args:
        folder: The folder of sweeps; it is made if it is not there.

    Raises:
        ConfigError: With every node that does not see it.
    """
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / f".seen-{uuid.uuid4().hex}"
    mark.touch()
    try:
        seen = ray.get([_sees.options(**_on(node)).remote(mark) for node in nodes])
    finally:
        mark.unlink()
    blind = [node["NodeManagerAddress"] for node, sees in zip(nodes, seen, strict=True) if not sees]
    if blind:
        message = (
            f"{folder} is not the same folder on every node; not on {', '.join(blind)}. Give one "
            "that all of them share (NFS), or a URI such as s3://bucket/runs; for `kdray submit` "
            "it is the `output` of a profile"
        )
        raise ConfigError([Problem("--output", message)])


def _on(node: dict[str, str]) -> dict[str, object]:
    place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    return {"scheduling_strategy": place, "num_cpus": 0}


@ray.remote  # type: ignore[untyped-decorator]  # ray has no types
def _sees(mark: Path) -> bool:
    return mark.exists()
