"""Sweeps that are killed: real processes, real signals; afterwards all three stores agree."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState
from ray.cluster_utils import Cluster

from kdray.locations import past_config
from kdray.reporting.reading import read_summary, read_verification
from kdray.results.folder import SweepFolder
from kdray.sweep.reconciling import TRIAL_ID
from kdray.sweep.schedulers.history import past
from kdray.sweep.search import open_study
from tests.command_line import kdray
from tests.tiny_sweep import write_space
from tests.tracking.server import Server

pytestmark = pytest.mark.slow
TRIALS, OUTPUT, LOG = 24, "runs", "log.txt"
SPACE: dict[str, Any] = {
    "training": {"epochs": 6},
    "search": {"trials": TRIALS, "checkpoint_interval_s": 0},
}
ENDED = {"completed": TrialState.COMPLETE, "stopped_early": TrialState.PRUNED}


@contextmanager
def driver(place: Path, *arguments: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """Runs kdray somewhere in a process group of its own, which is gone after the block."""
    command = [sys.executable, "-m", "kdray", *map(str, arguments)]
    log = (place / LOG).open("w")
    process = subprocess.Popen(
        command,
        cwd=place,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.close()


def run(place: Path, *arguments: str | Path) -> str:
    """Runs kdray to its end and returns what it printed."""
    with driver(place, *arguments) as process:
        process.wait(timeout=300)
    text = (place / LOG).read_text()
    assert process.returncode == 0, text
    return text


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert process.poll() is None, "it has ended already"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def written(folder: SweepFolder) -> dict[str, bytes]:
    """Returns every result that there is."""
    files = (folder.root / "trials").glob("[!.]*/result.json")
    return {file.parent.name: file.read_bytes() for file in files}


def cut_off(folder: SweepFolder) -> set[str]:
    """Returns the trials that have a checkpoint, and no result yet."""
    kept = {path.name for path in (folder.root / "checkpoints").glob("[!.]*")}
    return kept - written(folder).keys()


def check_agreement(folder: SweepFolder, trials: int, store: Path | None = None) -> None:
    """Checks that trial folders, Optuna and MLflow say the same, and that nothing is left over."""
    results = {result.trial_id: result for result in folder.results()}
    assert sorted(results) == [f"{number:04d}" for number in range(trials)]
    study = open_study(past_config(folder), folder, 0)
    told = Counter(
        (trial.user_attrs[TRIAL_ID], trial.state)
        for trial in study.get_trials()
        if trial.state not in (TrialState.WAITING, TrialState.FAIL)
    )
    assert told == Counter((i, ENDED[r.status]) for i, r in results.items() if r.status != "failed")
    client = MlflowClient(f"sqlite:///{store or folder.root.parent / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(folder.name)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    assert {run.info.status for run in runs} <= {"FINISHED", "FAILED"}
    nested = [run.data.tags["trial_id"] for run in runs if "trial_id" in run.data.tags]
    assert sorted(nested) == sorted(results)
    assert len(runs) == trials + 1
    for run in runs:
        if (trial_id := run.data.tags.get("trial_id")) is not None:
            told_epochs = client.get_metric_history(run.info.run_id, "train_loss")
            assert len(told_epochs) == results[trial_id].epochs
    summary = read_summary(folder)
    kept = sorted(path.name for path in (folder.root / "students").iterdir())
    assert kept == sorted(summary["front"])
    assert not list((folder.root / "checkpoints").glob("*"))


@pytest.mark.timeout(1200)
def test_a_sweep_killed_at_ten_random_moments_ends_as_if_it_never_was(tmp_path: Path) -> None:
    space = write_space(tmp_path, **SPACE)
    folder, rng = SweepFolder(tmp_path / "runs" / "tiny"), random.Random(0)
    before: dict[str, bytes] = {}
    cut: set[str] = set()
    for kill in range(10):
        begun = folder.sweep_yaml.exists()
        arguments = ["resume", folder.root] if begun else ["sweep", space, "--output", OUTPUT]
        with driver(tmp_path, *arguments) as process:
            if kill % 2:
                # In the midst of trials: some epochs after one more has ended.
                wait_for(lambda: len(written(folder)) > len(before), process)  # noqa: B023
                time.sleep(rng.uniform(0, 0.5))
                wait_for(lambda: bool(cut_off(folder)), process)
            else:
                time.sleep(rng.uniform(0, 9))
            process.kill()
        assert {trial_id: written(folder).get(trial_id) for trial_id in before} == before
        before = written(folder)
        cut |= cut_off(folder)
    assert len(before) < TRIALS, "the last resume has something to do"
    run(tmp_path, "resume", folder.root, "--trials", str(TRIALS + 4))
    assert {trial_id: written(folder)[trial_id] for trial_id in before} == before
    check_agreement(folder, TRIALS + 4)
    assert read_verification(folder)["forward_examples"] == 200
    assert cut
    for trial_id in cut:
        assert "is the same as in the sweep" in kdray("trial", folder.root, trial_id)


def test_trials_that_wait_when_a_sweep_is_killed_wait_again(tmp_path: Path) -> None:
    asha = {"name": "pareto_asha", "first_rung": 2}
    space = write_space(
        tmp_path,
        **SPACE | {"search": {"trials": 12, "scheduler": asha, "checkpoint_interval_s": 3600}},
        # Every student is better than the constant answer, and as good as the others.
        objectives={"brier": "minimize", "size_mb": "minimize"},
    )
    folder = SweepFolder(tmp_path / "runs" / "tiny")
    for waiting in (2, 4):
        begun = folder.sweep_yaml.exists()
        arguments = ["resume", folder.root] if begun else ["sweep", space, "--output", OUTPUT]
        with driver(tmp_path, *arguments) as process:
            # With that interval only those that came to a rung have a checkpoint.
            wait_for(lambda: len(cut_off(folder)) >= waiting, process)  # noqa: B023
            process.kill()
        assert {len(past(folder)[trial_id]) for trial_id in cut_off(folder)} == {2}
    run(tmp_path, "resume", folder.root)
    check_agreement(folder, 12)
    epochs = Counter(result.epochs for result in folder.results())
    assert set(epochs) == {2, 6}
    assert epochs[6] >= 4


def test_a_sweep_whose_mlflow_server_goes_away_for_a_while_is_recorded_whole(
    tmp_path: Path,
) -> None:
    space, folder = write_space(tmp_path, **SPACE), SweepFolder(tmp_path / "runs" / "tiny")
    server = Server(tmp_path)
    server.start()
    try:
        words = ["--set", f"tracking.uri=http://127.0.0.1:{server.port}", "--trials", "12"]
        with driver(tmp_path, "sweep", space, "--output", OUTPUT, *words) as process:
            wait_for(lambda: len(written(folder)) >= 2, process)
            server.kill()
            wait_for(lambda: len(written(folder)) >= 8, process)
            server.start()
            process.wait(timeout=400)
        text = (tmp_path / LOG).read_text()
        assert process.returncode == 0, text
        assert "warning" not in text
        check_agreement(folder, 12, tmp_path / "server.db")
    finally:
        server.kill()


@pytest.fixture(scope="module")
def cluster_of_others() -> Iterator[Cluster]:
    """A cluster of this machine, without any core until a node is added."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    yield cluster
    cluster.shutdown()


@pytest.mark.usefixtures("cluster_of_others")
def test_a_sweep_that_is_stopped_says_how_to_go_on_and_does_and_joins_no_cluster_unasked(
    tmp_path: Path,
) -> None:
    space, folder = write_space(tmp_path, **SPACE), SweepFolder(tmp_path / "runs" / "tiny")
    before: dict[str, bytes] = {}
    for signals in ([signal.SIGTERM], [signal.SIGINT], [signal.SIGINT] * 2):
        arguments = ["resume", folder.root] if before else ["sweep", space, "--output", OUTPUT]
        with driver(tmp_path, *arguments) as process:
            wait_for(lambda: len(written(folder)) > len(before), process)  # noqa: B023
            for number in signals:
                process.send_signal(number)
                time.sleep(0.3)
            process.wait(timeout=120)
        text = (tmp_path / LOG).read_text()
        assert process.returncode == 130, text
        assert "Traceback" not in text
        if len(signals) == 1:
            assert f"kdray resume {folder.root}" in text
            (folder.root / "report.html").unlink()
        assert written(folder).items() > before.items()
        before = written(folder)
    assert len(before) < TRIALS, "the last resume has something to do"
    run(tmp_path, "resume", folder.root)
    assert written(folder).items() > before.items()
    check_agreement(folder, TRIALS)


def test_a_sweep_goes_on_where_a_node_joins_and_when_one_is_lost(
    tmp_path: Path, cluster_of_others: Cluster
) -> None:
    # Longer than a worker takes to start, else the one that is there already takes every trial.
    long = {"training": {"epochs": 100}, "search": {"trials": 8, "checkpoint_interval_s": 0}}
    space, folder = write_space(tmp_path, **long), SweepFolder(tmp_path / "runs" / "tiny")
    prepared_here = cluster_of_others.add_node(num_cpus=1)
    arguments = ["sweep", space, "--output", OUTPUT, "--address", cluster_of_others.address]
    with driver(tmp_path, *arguments) as process:
        wait_for((folder.root / "checkpoints").exists, process)
        cluster_of_others.add_node(num_cpus=2)
        wait_for(lambda: len(cut_off(folder)) == 3, process)
        cluster_of_others.remove_node(prepared_here, allow_graceful=False)
        process.wait(timeout=400)
    assert process.returncode == 0, (tmp_path / LOG).read_text()
    check_agreement(folder, 8)
    assert {result.status for result in folder.results()} == {"completed"}
    assert read_verification(folder)["forward_examples"] == 200
