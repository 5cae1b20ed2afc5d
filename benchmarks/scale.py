"""A sweep of a thousand trials over 64 slots: does the driver keep up, and is anything lost?

    python benchmarks/scale.py --trials 1000 --nodes 8 --slots 8
    python benchmarks/scale.py --trials 1000 --scheduler pareto_asha --epochs 27 --seconds 9

A cluster of real Ray nodes on this machine, each with virtual cores, more of them than there are.
The driver is a user's: Optuna's TPE with two objectives and four drawn parameters, MLflow in
SQLite, trial folders, tables, report. Trials are stubs: they report their epochs, three unless
told otherwise, write a result that follows from what was drawn, and import neither torch nor
transformers, so that 64 workers fit into the memory of one machine. With `--scheduler` those that
are behind are stopped early; one that waited goes on where it was. Prints what the driver used in
each quarter of the trials, and JSON in the last line; exit code 1 if a trial is lost or the three
stores do not agree.
"""

import argparse
import io
import itertools
import json
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import yaml
from rich.console import Console
from stub_space import SPACE

from kdray.results.folder import SweepFolder, write_trial
from kdray.results.records import EpochReport, TrialResult


def stub_trial(config: dict[str, Any], shared: tuple[str, float, int]) -> None:
    """Runs in a Ray worker: reports epochs, those that it has not done yet, and writes a result."""
    from ray import tune

    root, seconds, epochs = shared
    kept = Path(root) / "kept" / config["trial_id"]
    kept.parent.mkdir(exist_ok=True)
    done = int(kept.read_text(encoding="utf-8")) if kept.exists() else 0
    metrics = outcome(config["parameters"])
    reports = [
        EpochReport(epoch, epochs, metrics, {"loss": 1.0}, seconds / epochs)
        for epoch in range(1, epochs + 1)
    ]
    for report in reports[done:]:
        time.sleep(seconds / epochs)
        kept.write_text(str(report.epoch), encoding="utf-8")
        tune.report({"epoch": report.epoch, "report": report.to_json(), "duration_s": seconds})
    result = TrialResult(
        config["trial_id"],
        "completed",
        parameters=config["parameters"],
        metrics=metrics,
        epochs=epochs,
        selected_epoch=epochs,
        duration_s=seconds,
    )
    write_trial(SweepFolder(Path(root)), result, reports)
    tune.report({"finished": True})


def outcome(parameters: dict[str, Any]) -> dict[str, float]:
    """Returns a trade-off of quality and size for the sampler to find."""
    ratio = parameters["pruning.ratio"]
    off = abs(parameters["distillation.alpha"] - 0.5)
    quality, size = 0.8 - 0.3 * ratio**2 - 0.2 * off, 1.0 - 0.8 * ratio
    found = dict.fromkeys(("macro_f1", "accuracy", "test_macro_f1", "test_accuracy"), quality)
    return found | {"size_mb": size, "teacher_size_mb": 1.2}


class Sampler(threading.Thread):
    """Looks twice a second at what the driver has used, and how many trials are done."""

    def __init__(self, folder: SweepFolder) -> None:
        super().__init__(daemon=True)
        self.folder, self.done = folder, threading.Event()
        self.seen: list[tuple[int, float, float]] = []
        self.peak_mb = 0.0

    def run(self) -> None:
        """Samples until the sweep is done."""
        process = psutil.Process()
        while not self.done.wait(0.5):
            trials = self.folder.root / "trials"
            count = sum(1 for _ in trials.glob("[!.]*")) if trials.exists() else 0
            used = process.cpu_times()
            self.seen.append((count, time.monotonic(), used.user + used.system))
            self.peak_mb = max(self.peak_mb, process.memory_info().rss / 1e6)

    def quarters(self, trials: int) -> list[dict[str, float]]:
        """Returns wall and CPU seconds of the driver a trial, in each quarter of the trials."""
        marks = [
            next(row for row in self.seen if row[0] >= min(trials, max(1, trials * k // 4)))
            for k in range(5)
        ]
        return [
            {
                "wall_s": (stop[1] - start[1]) / (stop[0] - start[0]),
                "driver_cpu_s": (stop[2] - start[2]) / (stop[0] - start[0]),
            }
            for start, stop in itertools.pairwise(marks)
        ]


def lost(folder: SweepFolder, trials: int) -> list[str]:
    """Returns what is missing or does not agree between trial folders, Optuna and MLflow."""
    from mlflow import MlflowClient
    from optuna.trial import TrialState

    from kdray.locations import past_config
    from kdray.sweep.search import open_study

    ids = [result.trial_id for result in folder.results() if result.status != "failed"]
    states = Counter(trial.state for trial in open_study(past_config(folder), folder, 0).trials)
    client = MlflowClient(f"sqlite:///{folder.root.parent / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(folder.name)
    runs = client.search_runs([experiment.experiment_id], max_results=trials + 10)
    found = {
        "results": len(set(ids)),
        "Optuna": states[TrialState.COMPLETE] + states[TrialState.PRUNED],
        "MLflow": sum(run.info.status == "FINISHED" for run in runs) - 1,
    }
    wrong = [f"{name}: {count} of {trials}" for name, count in found.items() if count != trials]
    ended = (TrialState.COMPLETE, TrialState.PRUNED)
    return wrong + [
        f"Optuna: {n} {state.name}" for state, n in states.items() if state not in ended
    ]


def measure(given: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Runs the sweep and returns what the driver used."""
    from kdray.loading import load_sweep_config
    from kdray.sweep import run, tuning
    from kdray.sweep.opening import Launch
    from kdray.sweep.trainable import Shared

    search = {"trials": given.trials, "keep": "none", "scheduler": given.scheduler}
    space = SPACE | {"training": SPACE["training"] | {"epochs": given.epochs}}
    file = scratch / "scale.yaml"
    file.write_text(yaml.safe_dump(space | {"search": search}), encoding="utf-8")
    folder = SweepFolder(scratch / "runs" / "scale")
    sampler = Sampler(folder)
    sampler.start()
    stubs = mock.patch.object(tuning, "sweep_trial", stub_trial)
    what = (str(folder.root), given.seconds, given.epochs)
    shared = mock.patch.object(Shared, "of", return_value=what)
    with stubs, shared:
        launch = Launch("benchmarks/scale.py", given.address)
        run.run_sweep(load_sweep_config(file), folder, launch, Console(file=io.StringIO()))
    sampler.done.set()
    sampler.join()
    size = sum(path.stat().st_size for path in folder.root.rglob("*") if path.is_file())
    return {
        "trials": given.trials,
        "scheduler": given.scheduler,
        "stopped_early": sum(one.status == "stopped_early" for one in folder.results()),
        "slots": given.nodes * given.slots,
        "quarters": sampler.quarters(given.trials),
        "driver_peak_mb": sampler.peak_mb,
        "disk_mb": size / 1e6,
        "lost": lost(folder, given.trials),
    }


def show(found: dict[str, Any]) -> None:
    """Prints a row a quarter, then the rest."""
    print(f"{'quarter':>8}{'wall a trial':>15}{'driver CPU a trial':>21}")
    for number, row in enumerate(found["quarters"], 1):
        print(f"{number:8}{row['wall_s']:14.3f}s{row['driver_cpu_s']:20.3f}s")
    print(
        f"{found['trials']} trials over {found['slots']} slots, scheduler {found['scheduler']}, "
        f"{found['stopped_early']} stopped early"
    )
    print(f"driver: at most {found['driver_peak_mb']:.0f} MB; disk: {found['disk_mb']:.1f} MB")
    print("lost: " + (", ".join(found["lost"]) or "nothing"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Starts the cluster, measures, and returns 1 if anything was lost."""
    from ray.cluster_utils import Cluster

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--slots", type=int, default=8, help="a node")
    parser.add_argument("--seconds", type=float, default=1.0, help="a stub trial")
    parser.add_argument("--epochs", type=int, default=3, help="a stub trial")
    schedulers = ["fifo", "median", "pareto_asha"]
    parser.add_argument("--scheduler", choices=schedulers, default="fifo")
    given = parser.parse_args(arguments)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    given.address = cluster.address
    try:
        for _ in range(given.nodes):
            cluster.add_node(num_cpus=given.slots, object_store_memory=100_000_000)
        with tempfile.TemporaryDirectory() as scratch:
            found = measure(given, Path(scratch))
    finally:
        import ray

        ray.shutdown()
        cluster.shutdown()
    show(found)
    print(json.dumps(found))
    return 1 if found["lost"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
