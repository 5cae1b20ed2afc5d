import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
from mlflow.store.db import utils as mlflow_db

from kdray.tracking.store import made_elsewhere, put_in_place

MAKE = "import sys; from tests.tracking.test_store import make_store; make_store(sys.argv[1])"


def make_store(uri: str) -> None:
    if made := made_elsewhere(uri):
        put_in_place(made, uri)


def uri(store: Path) -> str:
    return f"sqlite:///{store}"


def names(store: Path) -> list[str]:
    return [experiment.name for experiment in mlflow.MlflowClient(uri(store)).search_experiments()]


def test_a_store_whose_making_is_cut_off_is_not_there_and_the_next_one_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "runs" / "mlflow.db"

    def cut_off(engine: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(mlflow_db, "_upgrade_db", cut_off)  # its tables are there by then
        with pytest.raises(KeyboardInterrupt):
            make_store(uri(store))
    assert not store.parent.exists()
    make_store(uri(store))
    assert names(store) == ["Default"]
    assert list(store.parent.iterdir()) == [store]


def test_a_store_is_whole_when_it_appears_and_sweeps_that_start_together_share_it(
    tmp_path: Path,
) -> None:
    store = tmp_path / "mlflow.db"
    command = [sys.executable, "-c", MAKE, uri(store)]
    processes = [subprocess.Popen(command) for _ in range(2)]
    while not store.exists():
        assert any(process.poll() is None for process in processes)
        time.sleep(0.001)
    mlflow.MlflowClient(uri(store)).create_experiment("of the first")
    assert [process.wait() for process in processes] == [0, 0]
    assert sorted(names(store)) == ["Default", "of the first"]
    assert list(tmp_path.iterdir()) == [store]


def test_without_hard_links_a_store_is_made_and_one_that_is_there_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError

    monkeypatch.setattr("os.link", refuse)
    store = tmp_path / "mlflow.db"
    make_store(uri(store))
    assert names(store) == ["Default"]
    before = store.read_bytes()
    make_store(uri(store))
    assert store.read_bytes() == before


def test_a_tracking_server_is_not_a_file() -> None:
    assert made_elsewhere("http://127.0.0.1:1") is None
