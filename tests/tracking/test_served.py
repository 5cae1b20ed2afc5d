"""A student as whoever did not run the sweep gets it: over HTTP, and in MLflow's UI."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from playwright.sync_api import Page, sync_playwright

from kdray import load_student
from kdray.results.folder import SweepFolder
from kdray.tracking.served import _load_pyfunc
from tests.conftest import Tiny

TEXTS = ["you are such a clown", "thank you for the soup", "i will smash your face", ""]


def knee(folder: SweepFolder) -> str:
    return str(json.loads(folder.summary_json.read_text())["knee"])


def stored(folder: SweepFolder, into: Path) -> Path:
    """Returns a folder with the best student as a model holds it."""
    shutil.copytree(folder.student(knee(folder)), into / "student")
    return into


def test_text_pairs_get_the_probabilities_of_their_pairs(swept: Tiny, tmp_path: Path) -> None:
    served = _load_pyfunc(str(stored(swept.folder, tmp_path)))
    pairs = [("a clown", "you are a clown"), ("thank you", "no thanks")]
    found = served.predict(pd.DataFrame(pairs, columns=["premise", "hypothesis"]))
    wanted = load_student(tmp_path / "student").probabilities(pairs)
    assert list(found.columns) == ["bully", "sexual", "religious", "threat", "spam"]
    np.testing.assert_allclose(found.to_numpy(), wanted, atol=1e-6)


def test_a_text_that_is_missing_is_named_by_its_row(swept: Tiny, tmp_path: Path) -> None:
    served = _load_pyfunc(str(stored(swept.folder, tmp_path)))
    with pytest.raises(MlflowException, match="row 1 has no text"):
        served.predict(pd.DataFrame({"text": ["a", None]}))


@contextmanager
def running(command: list[str], where: Path, **more: str) -> Iterator["subprocess.Popen[str]"]:
    """Runs a server of Python's, away from the sweep, and ends it with all that it started."""
    where.mkdir()
    own = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-u", "-m", *command],
        cwd=where,
        env=os.environ | own | paths | more,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGTERM)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def asked(port: int, texts: list[str]) -> Any:
    """Returns what a server of MLflow's answers, as soon as it does."""
    body = {"dataframe_split": {"columns": ["text"], "data": [[text] for text in texts]}}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    deadline = time.monotonic() + 300
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["predictions"]
        except (ConnectionError, urllib.error.URLError):
            assert time.monotonic() < deadline
            time.sleep(0.3)


@pytest.mark.slow
def test_the_best_student_answers_http_requests_like_load_student(
    swept: Tiny, tmp_path: Path
) -> None:
    folder, port = swept.folder, free_port()
    store = f"sqlite:///{folder.root.parent / 'mlflow.db'}"
    command = ["mlflow", "models", "serve", "--model-uri", f"models:/{folder.name}@best"]
    command += ["--env-manager", "local", "--port", str(port)]
    with running(command, tmp_path / "elsewhere", MLFLOW_TRACKING_URI=store):
        answers = asked(port, TEXTS)
    student = load_student(folder.student(knee(folder)))
    wanted = student.probabilities(TEXTS)
    found = np.array([[row[name] for name in student.labels.names] for row in answers])
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)


def see(page: Page, name: str) -> None:
    page.get_by_role("link", name=name).first.wait_for(timeout=120_000)


@pytest.mark.slow
def test_the_ui_shows_the_nested_runs_the_front_and_the_registered_model(
    swept: Tiny, tmp_path: Path
) -> None:
    folder = swept.folder
    parent = json.loads(folder.tracking_json.read_text())["parent"]
    front = json.loads(folder.summary_json.read_text())["front"]
    command = ["kdray", "ui", str(folder.root), "--port", str(free_port())]
    with running(command, tmp_path / "elsewhere") as ui, sync_playwright() as browsers:
        assert ui.stdout is not None
        first = next(line for line in ui.stdout if line.startswith("MLflow UI: "))
        runs, best = first.split()[2], next(ui.stdout).split()[2]
        browser = browsers.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1900, "height": 900})
        page.goto(runs)
        name = page.locator(f"[row-id='{parent}'] [col-id='attributes.`Run Name`']")
        name.get_by_role("button").click(timeout=120_000)
        for result in folder.results():
            see(page, result.trial_id)
        assert (
            page.locator(f"[row-id='{parent}'] [col-id*=Dataset]")
            .inner_text()
            .startswith("synthetic (")
        )
        page.screenshot(path=tmp_path / "runs.png")
        page.goto(best)
        for trial_id in front:
            see(page, trial_id)
        shown = page.locator("[role=row][row-index] [col-id='metrics.`on_front`']")
        assert shown.all_inner_texts() == ["1"] * len(front)
        page.screenshot(path=tmp_path / "front.png")
        page.goto(runs.partition("#")[0] + f"#/models/{folder.name}")
        see(page, "Version 1")
        page.get_by_text("@ best").first.wait_for(timeout=120_000)
        page.screenshot(path=tmp_path / "registry.png")
        browser.close()
