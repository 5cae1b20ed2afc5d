"""Hypervolume against training epochs: what stopping early brings, over several seeds.

    python benchmarks/early_stopping.py --seeds 5 --trials 32 --epochs 27

For each seed three sweeps of the same space on the same teacher: random search and TPE with every
trial in full, and `pareto_asha` with TPE, of which only finished trials count. The question is at
how many epochs each has reached the final hypervolume of random search. Quality is that of
validation, which is what samplers and schedulers see. Prints a table, and JSON in the last line;
`--figure FILE` draws the medians. Settings that were chosen on some seeds are tried on others with
`--first-seed`; `--without-tpe` leaves out the sweeps that the question does not need.
"""

import argparse
import io
import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from kdray.loading import load_sweep_config
from kdray.reporting.reading import read_verification
from kdray.reporting.summary import front_hypervolume
from kdray.results.folder import SweepFolder
from kdray.sweep import run
from kdray.sweep.opening import Launch
from kdray.sweep.starting import start_ray

ROWS = {"validation_rows": 400, "test_rows": 400}
SHAPE = {"layers": 4, "hidden_size": 64, "heads": 4, "intermediate_size": 256}
NEW_TEACHER = {"architecture": SHAPE, "training": {"epochs": 16, "learning_rate": 2e-3}}
OBJECTIVES: dict[str, Any] = {"macro_f1": "maximize", "size_mb": "minimize"}


def space(given: argparse.Namespace, seed: int, teacher: dict[str, Any]) -> dict[str, Any]:
    """Returns the space: shape, pruning, method, its weights and the learning rate are open."""
    return {
        "seed": seed,
        "data": {"source": "synthetic", "train_rows": given.rows, **ROWS, "max_length": 64},
        "teacher": teacher,
        "student": {"layers": {"choice": [1, 2, 3]}},
        "pruning": {
            "method": {"choice": ["none", "magnitude"]},
            "ratio": {"uniform": [0.2, 0.8]},
        },
        "distillation": {
            "method": {"choice": ["none", "logit", "hidden", "attention", "multi_level"]},
            "alpha": {"uniform": [0.1, 0.9]},
            "temperature": {"uniform": [1, 8]},
        },
        "training": {
            "epochs": given.epochs,
            "batch_size": 64,
            "learning_rate": {"loguniform": [5e-5, 5e-3]},
        },
        "objectives": OBJECTIVES,
        "evaluation": {"baselines": False},
    }


def sweep(folder: Path, name: str, content: dict[str, Any]) -> SweepFolder:
    """Runs a sweep, if its folder is not there yet, and returns the folder."""
    file, swept = folder / f"{name}.yaml", SweepFolder(folder / "runs" / name)
    if swept.summary_json.exists():
        return swept
    file.write_text(yaml.safe_dump(content | {"name": name}), encoding="utf-8")
    launch, console = Launch("benchmarks/early_stopping.py"), Console(file=io.StringIO())
    run.run_sweep(load_sweep_config(file), swept, launch, console)
    return swept


def curve(swept: SweepFolder) -> list[tuple[int, float]]:
    """Returns epochs spent and hypervolume of what is completed, as each trial ends."""
    results = swept.results()
    results.sort(key=lambda r: (swept.trial(r.trial_id) / "result.json").stat().st_mtime)
    verification, spent = read_verification(swept), 0
    points = []
    for count, result in enumerate(results, 1):
        spent += result.epochs
        reached = front_hypervolume(results[:count], OBJECTIVES, verification)
        points.append((spent, reached))
    return points


def epochs_to(points: Sequence[tuple[int, float]], hypervolume: float) -> int | None:
    """Returns the epochs spent when a hypervolume was reached, or None if it never was."""
    return next((spent for spent, reached in points if reached >= hypervolume), None)


def one_seed(
    given: argparse.Namespace, folder: Path, seed: int, teacher: dict[str, Any]
) -> dict[str, Any]:
    """Runs the three sweeps of one seed."""
    asha = {
        "name": "pareto_asha",
        "first_rung": given.first_rung,
        "reduction_factor": given.reduction_factor,
    }
    searches = {
        "random": {"sampler": "random", "scheduler": "fifo", "trials": given.trials},
        "tpe": {"sampler": "tpe", "scheduler": "fifo", "trials": given.trials},
        "pareto_asha": {"sampler": "tpe", "scheduler": asha, "trials": given.asha_trials},
    }
    if given.without_tpe:
        del searches["tpe"]
    content = space(given, seed, teacher)
    curves = {
        name: curve(
            sweep(folder, f"{name}-{seed}", content | {"search": {**search, "keep": "none"}})
        )
        for name, search in searches.items()
    }
    spent, target = curves["random"][-1]
    reached = {name: epochs_to(points, target) for name, points in curves.items()}
    return {
        "seed": seed,
        "target": target,
        "random_epochs": spent,
        "reached_at": reached,
        "share": {name: n / spent if n is not None else None for name, n in reached.items()},
        "final": {name: points[-1] for name, points in curves.items()},
        "curves": curves,
    }


def median_share(found: Sequence[dict[str, Any]], name: str) -> float:
    """Returns the median share of random search's epochs; a seed that never got there is worst."""
    shares = [row["share"][name] for row in found]
    return statistics.median(float("inf") if share is None else share for share in shares)


def show(found: Sequence[dict[str, Any]]) -> None:
    """Prints a row a seed, and the medians."""
    print(
        f"{'seed':6}{'target':>8}{'epochs':>8}{'tpe at':>9}{'asha at':>9}{'share':>8}{'final':>8}"
    )
    for row in found:
        reached = row["reached_at"]
        tpe, asha = (reached.get(name, "–") or "never" for name in ("tpe", "pareto_asha"))
        share, final = row["share"]["pareto_asha"], row["final"]["pareto_asha"][1]
        shown = f"{share:8.2f}" if share is not None else f"{'–':>8}"
        head = f"{row['seed']:<6}{row['target']:8.3f}{row['random_epochs']:8}"
        print(f"{head}{tpe!s:>9}{asha!s:>9}{shown}{final:8.3f}")
    for name in found[0]["share"]:
        print(f"{name}: median share of random search's epochs {median_share(found, name):.2f}")


def draw(found: Sequence[dict[str, Any]], file: Path) -> None:
    """Draws hypervolume as a share of the target against epochs, the median over seeds."""
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    grid = np.arange(1, max(row["random_epochs"] for row in found) + 1)
    titles = {"random": "random, in full", "tpe": "TPE, in full", "pareto_asha": "pareto_asha"}
    for name in found[0]["curves"]:
        steps = [_stepped(row["curves"][name], grid) / row["target"] for row in found]
        axes.step(grid, np.median(steps, axis=0), where="post", label=titles[name])
    axes.axhline(1, color="grey", linewidth=0.8)
    axes.set_xlabel("training epochs spent")
    axes.set_ylabel("hypervolume / that of random search")
    axes.legend(frameon=False)
    figure.savefig(file, dpi=150)


def _stepped(points: Sequence[tuple[int, float]], grid: Any) -> Any:
    import numpy as np

    spent, reached = np.array(points).T
    places = np.searchsorted(spent, grid, side="right")
    return np.concatenate([[0.0], reached])[places]


def main() -> None:
    """Measures every seed and prints what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--asha-trials", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--first-rung", type=int, default=2)
    parser.add_argument("--reduction-factor", type=float, default=9)
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--without-tpe", action="store_true")
    parser.add_argument("--figure", type=Path)
    parser.add_argument(
        "--output", type=Path, help="keep the sweeps there, and take those there are"
    )
    given = parser.parse_args()
    start_ray(None)
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.output or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        first = space(given, 0, NEW_TEACHER) | {"search": {"trials": 1, "sampler": "random"}}
        made = sweep(folder, "teacher", first | {"training": {"epochs": 1}})
        teacher = {"model": str(made.teacher), "training": None}
        seeds = range(given.first_seed, given.first_seed + given.seeds)
        found = [one_seed(given, folder, seed, teacher) for seed in seeds]
    show(found)
    if given.figure:
        draw(found, given.figure)
    settings = vars(given) | {"figure": None, "output": None}
    print(json.dumps({"settings": settings, "seeds": found}))


if __name__ == "__main__":
    main()
