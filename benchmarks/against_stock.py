"""kdray against the sweep that a user writes today with Ray Tune and the Hugging Face Trainer.

    python benchmarks/against_stock.py --stock ../shared/bench/stock_sweep.py \
        --data ../shared/data/bangla_cyberbully --trials 8 --epochs 2

Both run the same configurations (drawn by the stock sweep) on the same teacher, one after the other
on the same machine: same student shape, pruning, epochs, batch size and learning rate. Quality is
that of the last epoch for both, so that speed is not bought with quality. The stock sweep needs
`accelerate` as well. Prints a table, and JSON in the last line.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

LABELS = ["bully", "sexual", "religious", "threat", "spam"]
NAMES = {
    "alpha": "distillation.alpha",
    "temperature": "distillation.temperature",
    "ratio": "pruning.ratio",
    "method": "distillation.method",
}


def space(data: Path, epochs: int, teacher: Path | None, points: Sequence[dict[str, Any]]) -> Any:
    """Returns the search space that draws what the stock sweep drew."""
    architecture = {"layers": 4, "hidden_size": 128, "heads": 4, "intermediate_size": 512}
    return {
        "name": "against-stock",
        "data": {
            "source": "files",
            **{name: str(data / f"{name}.csv") for name in ("train", "validation", "test")},
            "labels": LABELS,
            "max_length": 64,
        },
        "teacher": {"model": str(teacher), "training": None}
        if teacher
        else {
            "architecture": {**architecture, "vocabulary_size": 8000},
            "training": {"epochs": 6, "learning_rate": 1e-3},
        },
        "student": {"layers": 2},
        "pruning": {"method": "magnitude", "ratio": {"uniform": [0.2, 0.8]}},
        "distillation": {
            "method": {"choice": ["logit", "hidden", "attention", "multi_level"]},
            "alpha": {"uniform": [0.1, 0.9]},
            "temperature": {"uniform": [1, 8]},
        },
        "evaluation": {"baselines": False},  # the stock sweep has none
        "training": {"epochs": epochs, "learning_rate": 5e-4, "warmup_ratio": 0.0},
        "search": {"sampler": "none", "points": list(points)}
        if points
        else {"sampler": "random", "trials": 1},
    }


def kdray_sweep(folder: Path, name: str, content: Any) -> tuple[float, Path]:
    """Runs a sweep as a user does; returns its wall seconds and its folder."""
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    command = [sys.executable, "-m", "kdray", "sweep", str(file), "--output", str(folder / "runs")]
    start = time.monotonic()
    subprocess.run([*command, "--name", name], check=True)
    return time.monotonic() - start, folder / "runs" / name


def stock_sweep(stock: Path, data: Path, teacher: Path, trials: int, epochs: int) -> Any:
    """Runs the stock sweep and returns its JSON; what Ray's workers print may follow it."""
    command = [sys.executable, str(stock), "--data", str(data), "--teacher", str(teacher)]
    command += ["--trials", str(trials), "--epochs", str(epochs)]
    start = time.monotonic()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = time.monotonic() - start
    (found,) = [line for line in done.stdout.splitlines() if line.startswith('{"')]
    result = json.loads(found) | {"process_s": seconds}
    if result["errors"]:
        raise SystemExit(f"{result['errors']} trials of {stock} failed:\n{done.stderr[-2000:]}")
    return result


def last_epochs(folder: Path) -> list[float]:
    """Returns the macro-F1 of each trial's last epoch, in the order of the trials."""
    files = sorted((folder / "trials").glob("*/epochs.jsonl"))
    lines = [file.read_text(encoding="utf-8").splitlines()[-1] for file in files]
    return [json.loads(line)["metrics"]["macro_f1"] for line in lines]


def main() -> None:
    """Measures both and prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stock", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=2)
    given = parser.parse_args()
    data = given.data.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        teacher = kdray_sweep(folder, "teacher", space(data, 1, None, []))[1] / "teacher"
        stock = stock_sweep(given.stock, data, teacher, given.trials, given.epochs)
        points = [
            {NAMES[key]: value for key, value in trial.items() if key in NAMES}
            for trial in stock["trials"]
        ]
        seconds, swept = kdray_sweep(folder, "kdray", space(data, given.epochs, teacher, points))
        scores = last_epochs(swept)
    found = {
        "trials": given.trials,
        "epochs": given.epochs,
        "stock_s": stock["process_s"],
        "kdray_s": seconds,
        "ratio": stock["process_s"] / seconds,
        "stock_macro_f1": sum(trial["macro_f1"] for trial in stock["trials"]) / given.trials,
        "kdray_macro_f1": sum(scores) / len(scores),
    }
    print(f"{'':8}{'wall':>10}{'a trial':>10}{'macro-F1':>10}")
    for name in ("stock", "kdray"):
        wall, quality = found[f"{name}_s"], found[f"{name}_macro_f1"]
        print(f"{name:8}{wall:9.1f}s{wall / given.trials:9.1f}s{quality:10.3f}")
    print(f"stock / kdray: {found['ratio']:.2f}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
