"""Trials of a real sweep that fail in their Ray workers as a test says."""

import errno
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

import kdray.trial
from kdray.errors import DivergedError
from kdray.results.records import EpochReport, Stage
from kdray.sweep import trainable
from kdray.trial import TrialError

PLAN, EPOCHS = "plan.json", "epochs.txt"


def misbehaving(given: dict[str, Any], shared: trainable.Shared) -> None:
    """Stands in for `sweep_trial`: what the trial does first is in the file PLAN of its sweep.

    The plan holds the deeds of each trial by its id, one for each time that it is begun; after the
    last it goes on as ever.
    """
    folder = shared.folder
    deeds = json.loads((folder.root / PLAN).read_text())
    begun = folder.root / f"begun-{given['trial_id']}"
    times = len(begun.read_text()) if begun.exists() else 0
    begun.write_text("x" * (times + 1))
    mine = deeds.get(given["trial_id"], [])
    todo = mine[times] if times < len(mine) else "work"

    def run_trial(config: Any, sweep: Any, on_epoch: Any, kept: Any) -> Any:
        def noted(report: EpochReport) -> None:
            with (folder.root / EPOCHS).open("a") as file:
                file.write(f"{given['trial_id']} {report.epoch}\n")
            on_epoch(report)
            if todo == f"die after {report.epoch}":
                do("die")

        do(todo)
        return kdray.trial.run_trial(config, sweep, noted, kept)

    trainable.run_trial = run_trial
    trainable.sweep_trial(given, shared)


def do(deed: str) -> None:
    """Fails in a worker, in one of the ways of real trials."""
    stage: Stage = "distil"
    if deed == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if deed == "hang":
        time.sleep(1000)
    errors = {
        "diverge": DivergedError("the loss is not finite"),
        "network": ConnectionResetError("the network was away"),
        "full": OSError(errno.ENOSPC, "No space left on device"),
        "full, says a library": SafetensorError("I/O error: No space left on device (os error 28)"),
    }
    if deed in errors:
        raise TrialError(stage, str(errors[deed])) from errors[deed]


def begun(folder: Path, trial_id: str) -> int:
    """Returns how often a trial was begun."""
    return len((folder / f"begun-{trial_id}").read_text())
