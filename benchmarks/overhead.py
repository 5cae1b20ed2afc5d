"""What a trial costs before it does any work: a real sweep of trials that do nothing.

    python benchmarks/overhead.py --trials 100 1000

Everything is a user's sweep (Ray workers, Optuna's TPE with two objectives and four drawn
parameters, MLflow in SQLite, trial folders, tables, report) but `run_trial`: in the workers it
returns at once, with metrics that follow from the drawn parameters and a student that was built
once. Each number of trials is run with `search.keep: none`, and with `front`, where each trial
also writes its student. Prints a table, and JSON in the last line.

A trial's cost is wall time over all trials after the first: `a trial` up to the last trial's
result on disk, `with end` up to the end of the sweep, with its tables and its report. `driver`
and `worker` are CPU seconds a trial, which other work on the machine disturbs less; `n` is how many
worker processes served all trials.
"""

import argparse
import io
import itertools
import json
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import yaml
from rich.console import Console
from stub_space import SPACE

from kdray.loading import load_sweep_config
from kdray.models.student import Student
from kdray.preparation import PreparedSweep
from kdray.prune_stage import build_student, unpruned
from kdray.pupils import as_student
from kdray.results.folder import SweepFolder
from kdray.results.records import EpochReport
from kdray.schema import TrialConfig
from kdray.sweep import run, trainable, tuning
from kdray.sweep.opening import Launch
from kdray.sweep.starting import start_ray
from kdray.trial import Finished

_STUDENT: dict[str, Student] = {}


def empty_trial(config: dict[str, Any], shared: trainable.Shared) -> None:
    """Runs in a Ray worker: a trial as ever, but for the work."""
    trainable.run_trial = nothing
    trainable.sweep_trial(config, shared)


def nothing(config: TrialConfig, sweep: PreparedSweep, on_epoch: Any, checkpoints: Any) -> Finished:
    """Returns at once what `run_trial` returns after its work, one epoch reported."""
    if not _STUDENT:
        student = unpruned(build_student(config, sweep), sweep)
        _STUDENT["one"] = as_student(student, config, sweep)
    found = metrics(config)
    report = EpochReport(1, 1, found, {"loss": 1.0}, 0.0)
    on_epoch(report)
    logits = {name: np.zeros((80, 5), np.float32) for name in ("validation", "test")}
    return Finished(found, (report,), 1, _STUDENT["one"], logits, 0.0)


def metrics(config: TrialConfig) -> dict[str, float]:
    """Returns a trade-off of quality and size for the sampler to find, and who made it."""
    options: Any = config.distillation
    ratio = float(getattr(config.pruning[0], "ratio", 0.0))
    off = abs(options.alpha - 0.5) + abs(options.temperature - 4) / 8
    off += abs(np.log10(config.training.learning_rate) + 3.2) / 2
    quality, size = 0.8 - 0.3 * ratio**2 - 0.2 * off, 1.0 - 0.8 * ratio
    found = dict.fromkeys(("macro_f1", "accuracy", "test_macro_f1", "test_accuracy"), quality)
    found |= {"size_mb": size, "teacher_size_mb": 1.2}
    return found | {"worker": float(os.getpid()), "worker_cpu_s": time.process_time()}


def measure(folder: Path, keep: str, trials: int) -> dict[str, Any]:
    """Runs one sweep; the first trial's result on disk starts the clock."""
    name = f"{keep}-{trials}"
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(SPACE | {"search": {"trials": trials, "keep": keep}}))
    swept = SweepFolder(folder / "runs" / name)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    with mock.patch.object(tuning, "sweep_trial", empty_trial):
        launch, console = Launch("benchmarks/overhead.py"), Console(file=io.StringIO())
        run.run_sweep(load_sweep_config(file), swept, launch, console)
    end, used = time.time(), resource.getrusage(resource.RUSAGE_SELF)
    files = [swept.trial(result.trial_id) / "result.json" for result in swept.results()]
    finished = sorted(path.stat().st_mtime for path in files)
    cpu = used.ru_utime + used.ru_stime - usage.ru_utime - usage.ru_stime
    return {
        "keep": keep,
        "trials": len(finished),
        "trial_s": (finished[-1] - finished[0]) / (trials - 1),
        "with_end_s": (end - finished[0]) / (trials - 1),
        "quarters_s": quarters(finished),
        "end_s": end - finished[-1],
        "driver_cpu_s": cpu / trials,
        **workers(swept),
    }


def workers(swept: SweepFolder) -> dict[str, float]:
    """Returns how many processes served all trials, and their CPU seconds a trial."""
    seconds: dict[float, list[float]] = {}
    for result in swept.results():
        seconds.setdefault(result.metrics["worker"], []).append(result.metrics["worker_cpu_s"])
    used = sum(max(times) - min(times) for times in seconds.values())
    count = sum(len(times) - 1 for times in seconds.values())
    return {"workers": len(seconds), "worker_cpu_s": used / count}


def quarters(finished: Sequence[float]) -> list[float]:
    """Returns the seconds of a trial in each quarter of the sweep."""
    marks = [round(part * (len(finished) - 1) / 4) for part in range(5)]
    return [
        (finished[stop] - finished[start]) / (stop - start)
        for start, stop in itertools.pairwise(marks)
    ]


def show(found: Sequence[dict[str, Any]]) -> None:
    """Prints a row a sweep."""
    titles = ("keep", "trials", "a trial", "with end", "by quarter", "end", "driver", "worker", "n")
    print("{:6}{:>7}{:>10}{:>10}{:>28}{:>8}{:>9}{:>9}{:>4}".format(*titles))
    for row in found:
        by_quarter = " ".join(f"{seconds:.3f}" for seconds in row["quarters_s"])
        print(
            f"{row['keep']:6}{row['trials']:7}{row['trial_s']:9.3f}s{row['with_end_s']:9.3f}s"
            f"{by_quarter:>27}s{row['end_s']:7.1f}s{row['driver_cpu_s']:8.3f}s"
            f"{row['worker_cpu_s']:8.3f}s{row['workers']:4}"
        )


def main() -> None:
    """Measures every number of trials with and without weights, and prints the growth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--keep", nargs="+", default=["none", "front"])
    given = parser.parse_args()
    start_ray(None)
    with tempfile.TemporaryDirectory() as scratch:
        measure(Path(scratch), "none", 8)  # imports, MLflow's tables, Ray's first workers
        found = [measure(Path(scratch), k, n) for k in given.keep for n in given.trials]
    show(found)
    fewest, most = min(given.trials), max(given.trials)
    cost = {(row["keep"], row["trials"]): row["with_end_s"] for row in found}
    growth = {keep: cost[keep, most] / cost[keep, fewest] for keep in given.keep}
    for keep, ratio in growth.items():
        print(f"{keep}: a trial of {most} costs {ratio:.2f} times one of {fewest}")
    print(json.dumps({"sweeps": found, "growth": growth}))


if __name__ == "__main__":
    main()
