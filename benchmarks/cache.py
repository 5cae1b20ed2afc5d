"""What the cache of the teacher's outputs saves: the same trials with it and without.

    python benchmarks/cache.py --data ../shared/data/bangla_cyberbully --epochs 2

Every distillation method once or more, on one teacher, in four sweeps one after the other: the
outputs in memory, in mapped files, not kept at all, and reused from the first of them. The
teacher is trained beforehand, so that a sweep's time is that of its outputs and its trials.
USS is the memory of a trial's worker alone, RSS counts what it shares as well; both are the
highest that any of them reached. Prints a table, and JSON in the last line.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import yaml

METHODS = ["logit", "hidden", "attention", "multi_level"]
LABELS = ["bully", "sexual", "religious", "threat", "spam"]
INTERVAL_S = 0.25


def space(given: argparse.Namespace, **changes: Any) -> dict[str, Any]:
    """Returns a search space whose trials go through all methods."""
    data: dict[str, Any] = {"source": "synthetic"}
    if given.data:
        parts = ("train", "validation", "test")
        files = {part: str(given.data.resolve() / f"{part}.csv") for part in parts}
        data = {"source": "files", **files, "labels": LABELS, "max_length": 64}
    points = [{"distillation.method": METHODS[i % len(METHODS)]} for i in range(given.trials)]
    return {
        "name": "cache",
        "data": data,
        "student": {"layers": given.layers // 2},
        "distillation": {"method": {"choice": METHODS}},
        "training": {"epochs": given.epochs, "learning_rate": 5e-4},
        "search": {"sampler": "none", "points": points, "keep": "none"},
        "evaluation": {"baselines": False},
        **changes,
    }


def new_teacher(given: argparse.Namespace) -> dict[str, Any]:
    """Returns the section of a teacher that is made first."""
    shape = {"layers": given.layers, "hidden_size": given.width, "heads": 4}
    architecture = {**shape, "intermediate_size": 4 * given.width, "vocabulary_size": 8000}
    training = {"epochs": 2, "learning_rate": 1e-3}
    return {"architecture": architecture, "training": training, "verify": {"minimum": 0.0}}


def sweep(content: dict[str, Any], output: Path, name: str) -> dict[str, float]:
    """Runs a sweep as a user does; returns what it took."""
    output.mkdir(exist_ok=True)
    file = output / f"{name}.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    command = [sys.executable, "-m", "kdray", "sweep", str(file), "--output", str(output)]
    start = time.monotonic()
    running = subprocess.Popen([*command, "--name", name], stdout=subprocess.DEVNULL)
    peak = {"uss_mb": 0.0, "rss_mb": 0.0}
    while running.poll() is None:
        for uss_mb, rss_mb in worker_memory(running.pid):
            peak = {"uss_mb": max(peak["uss_mb"], uss_mb), "rss_mb": max(peak["rss_mb"], rss_mb)}
        time.sleep(INTERVAL_S)
    if running.returncode:
        raise SystemExit(f"the sweep {name!r} failed")
    summary = json.loads((output / name / "summary.json").read_text(encoding="utf-8"))
    outputs, trials = summary["teacher_outputs"], summary["trials"]["completed"]
    return {
        "wall_s": time.monotonic() - start,
        "trial_s": summary["busy_s"] / trials,
        "teacher_forward_examples": summary["teacher_forward_examples"],
        "cache_mb": outputs["memory_mb"] + outputs["disk_mb"],
        **peak,
    }


def worker_memory(driver: int) -> Iterator[tuple[float, float]]:
    """Yields USS and RSS in MB of every worker that runs trials."""
    for process in psutil.Process(driver).children(recursive=True):
        try:
            if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::ImplicitFunc"):
                found = process.memory_full_info()
                yield found.uss / 1e6, found.rss / 1e6
        except psutil.Error:
            continue


def main() -> None:
    """Measures all four and prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    given = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        search = {"sampler": "random", "trials": 1}
        first = space(given, teacher=new_teacher(given), search=search, training={"epochs": 1})
        sweep(first, folder / "teacher", "teacher")
        model = str(folder / "teacher" / "teacher" / "teacher")
        for name in ("memory", "disk", "off", "reused"):
            # In a folder of its own a sweep finds nothing to reuse.
            output = folder / ("memory" if name == "reused" else name)
            cache = {"where": "memory" if name == "reused" else name}
            teacher = {"model": model, "training": None, "verify": {"minimum": 0.0}, "cache": cache}
            found[name] = sweep(space(given, teacher=teacher), output, name)
    print(f"{'cache':8}{'wall':>9}{'a trial':>9}{'examples':>10}{'cache':>9}{'USS':>9}{'RSS':>9}")
    for name, row in found.items():
        print(
            f"{name:8}{row['wall_s']:8.1f}s{row['trial_s']:8.1f}s"
            f"{row['teacher_forward_examples']:10,}{row['cache_mb']:6.0f} MB"
            f"{row['uss_mb']:6.0f} MB{row['rss_mb']:6.0f} MB"
        )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
