"""Does a way to teach help a small student? Methods and regimes beside labels alone, with seeds.

    python benchmarks/methods.py --data ../shared/data --output reports/methods

For each of the spaces in reports/methods (Bangla comments, multi-label; TREC questions, one label)
one sweep of chosen points: each method and each regime with its defaults, the same student from
scratch, three seeds (`training.seed`: its weights, its dropout and the order of the examples). The
teacher is the same in all, but for the ensemble: three teachers of different seeds, the first of
which is that of the others. What counts is macro-F1 on test of the epoch that validation has
selected, and the difference to `none` of the same seed. Writes the table to `--output`/README.md,
between two marks, and the trials beside it. Prints the table, and JSON in the last line.
With `--methods rkd similarity` these alone are measured, beside `none`, without regimes.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# Before torch: threads that spin stand still beside another program.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import yaml
from readme_table import write_table
from rich.console import Console
from scipy.stats import t

from kdray.distillation.table import DISTILLATION
from kdray.loading import load_sweep_config
from kdray.preparation import prepare
from kdray.reporting.reading import read_verification
from kdray.results.folder import SweepFolder
from kdray.results.records import TrialResult
from kdray.schema import SweepConfig
from kdray.sweep import run
from kdray.sweep.opening import Launch
from kdray.sweep.starting import start_ray
from kdray.teacher.keeping import Place

ROOT = Path(__file__).parent.parent
REPORTS = ROOT / "reports" / "methods"
SPACES = {"bangla": "bangla_cyberbully", "trec": "trec6"}
REGIMES: dict[str, Any] = {
    "name": {"choice": ["progressive", "born_again", "mutual", "online"]},
    "assistants": [{"layers": 3}],
    "generations": 2,
    "students": 2,
    "momentum": 0.99,
}
SEEDS = (0, 1, 2)


def space(
    name: str, given: argparse.Namespace, scratch: Path, changes: Mapping[str, Any]
) -> SweepConfig:
    """Returns the space of a data set with some sections changed."""
    data = given.data / SPACES[name]
    if not data.is_dir():
        raise SystemExit(f"needs {data}; the data sets are not part of kdray")
    content = yaml.safe_load((REPORTS / f"{name}.yaml").read_text(encoding="utf-8"))
    file = scratch / f"{changes['name']}.yaml"
    file.write_text(yaml.safe_dump({**content, **changes}), encoding="utf-8")
    splits = ("train", "validation", "test")
    return load_sweep_config(file, [f"data.{it}={(data / f'{it}.csv').resolve()}" for it in splits])


def sweep(
    name: str, given: argparse.Namespace, scratch: Path, changes: Mapping[str, Any]
) -> SweepFolder:
    """Runs the trials of a space, if their folder is not there yet, and returns the folder."""
    swept = SweepFolder(scratch / "runs" / str(changes["name"]))
    if not swept.summary_json.exists():
        launch = Launch("benchmarks/methods.py")
        run.run_sweep(space(name, given, scratch, changes), swept, launch, Console())
    return swept


def chosen(path: str, words: Sequence[str]) -> dict[str, Any]:
    """Returns the search that tries each word with each seed, in this order."""
    points = [{path: word, "training.seed": seed} for word in words for seed in SEEDS]
    return {"sampler": "none", "points": points, "keep": "none"}


def wanted(given: argparse.Namespace) -> list[str]:
    """Returns the methods to measure, `none` among them."""
    return [name for name in DISTILLATION if name in (given.methods or DISTILLATION)]


def three_sweeps(name: str, given: argparse.Namespace, scratch: Path) -> dict[str, SweepFolder]:
    """Runs the methods, the regimes on the same teacher, and the students of three teachers."""
    methods = {"name": name, "search": chosen("distillation.method", wanted(given))}
    swept = {"methods": sweep(name, given, scratch, methods)}
    if given.methods:
        return swept
    teachers = [str(swept["methods"].teacher)]
    fixed = {
        "distillation": {"method": "logit"},
        "teacher": {"model": teachers[0], "training": None},
    }
    regimes = {"regime": REGIMES, "search": chosen("regime.name", REGIMES["name"]["choice"])}
    swept["regimes"] = sweep(name, given, scratch, {"name": f"{name}-regimes", **fixed, **regimes})
    if not given.without_ensemble:
        teachers += [str(new_teacher(name, seed, given, scratch)) for seed in SEEDS[1:]]
        fixed["teacher"] = {"model": teachers, "training": None}
        search = {"sampler": "grid", "trials": len(SEEDS), "keep": "none"}
        own = {"name": f"{name}-ensemble", "search": search}
        swept["ensemble"] = sweep(name, given, scratch, {**fixed, **own})
    return swept


def new_teacher(name: str, seed: int, given: argparse.Namespace, scratch: Path) -> Path:
    """Trains the teacher of a space with another seed, if it is not there yet."""
    folder = SweepFolder(scratch / "runs" / f"{name}-teacher-{seed}")
    if not folder.verification_json.exists():
        random = {"sampler": "random", "trials": 1}
        own = {"name": folder.name, "seed": seed, "search": random}
        config = space(name, given, scratch, own)
        prepare(config, print, Place(folder))
    return folder.teacher


def by_way(results: Sequence[TrialResult], names: Sequence[str]) -> dict[str, list[float]]:
    """Returns test macro-F1 of each way, one a seed, in the order of the points."""
    scores = [r.metrics["test_macro_f1"] for r in sorted(results, key=lambda r: r.trial_id)]
    wanted = len(names) * len(SEEDS)
    if len(scores) != wanted:
        raise SystemExit(f"{len(scores)} of {wanted} trials have a result; see the sweep's report")
    each = len(SEEDS)
    return {name: scores[each * n : each * (n + 1)] for n, name in enumerate(names)}


def against_none(scores: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """Returns mean and standard deviation of each way, and its difference to `none` by seed.

    The difference comes with half the width of its 95 % interval (Student's t over the seeds).
    """
    rows = {}
    for way, found in scores.items():
        differences = [mine - its for mine, its in zip(found, scores["none"], strict=True)]
        width = t.ppf(0.975, len(SEEDS) - 1) * statistics.stdev(differences) / len(SEEDS) ** 0.5
        rows[way] = {
            "mean": statistics.mean(found),
            "sd": statistics.stdev(found),
            "difference": statistics.mean(differences),
            "half_width": float(width),
        }
    return rows


def verdict(row: Mapping[str, float]) -> str:
    """Returns what three seeds say of a way, in a word or two."""
    if abs(row["difference"]) <= row["half_width"]:
        return "not told from `none`"
    return "helps" if row["difference"] > 0 else "harms"


def table(found: Mapping[str, Any]) -> str:
    """Returns a table in Markdown for each data set, the best way first."""
    parts = []
    for name, one in found.items():
        teacher = f"{one['teachers']['methods']:.3f}"
        if "ensemble" in one["teachers"]:
            teacher += f"; of the ensemble {one['teachers']['ensemble']:.3f}"
        parts += [
            f"### {name}",
            f"Test macro-F1 of the teacher: {teacher}.",
            "| way | test macro-F1, mean ± sd | difference to `none`, 95 % interval | |\n"
            "| --- | --: | --: | --- |\n"
            + "\n".join(
                f"| {way} | {row['mean']:.3f} ± {row['sd']:.3f} | "
                f"{row['difference']:+.3f} ± {row['half_width']:.3f} | "
                f"{'' if way == 'none' else verdict(row)} |"
                for way, row in sorted(one["ways"].items(), key=lambda it: -it[1]["mean"])
            ),
        ]
    return "\n\n".join(parts)


def measured(name: str, given: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Runs all of one data set and returns what its table says."""
    swept = three_sweeps(name, given, scratch)
    named = {
        "methods": wanted(given),
        "regimes": [f"logit, {regime}" for regime in REGIMES["name"]["choice"]],
        "ensemble": ["logit, ensemble of three"],
    }
    scores: dict[str, list[float]] = {}
    for kind, folder in swept.items():
        scores |= by_way(folder.results(), named[kind])
        if given.output:
            (given.output / name).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder.trials_csv, given.output / name / f"{kind}.csv")
    teachers = {
        kind: read_verification(swept[kind])["metrics"]["test_macro_f1"]
        for kind in ("methods", "ensemble")
        if kind in swept
    }
    return {"teachers": teachers, "ways": against_none(scores), "scores": scores}


def main() -> None:
    """Runs the sweeps, prints the table, and writes it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", choices=SPACES, action="append", help="of these sets alone")
    parser.add_argument("--without-ensemble", action="store_true")
    parser.add_argument("--methods", nargs="+", choices=DISTILLATION, help="these alone")
    parser.add_argument("--scratch", type=Path, help="keep the sweeps there, and take what is")
    parser.add_argument("--output", type=Path, help="publish the table there")
    given = parser.parse_args()
    if given.methods and given.output:
        parser.error("--output takes the table of all methods; --methods measures some")
    given.methods = given.methods and ["none", *given.methods]
    start_ray(None)
    with tempfile.TemporaryDirectory() as temporary:
        scratch = given.scratch or Path(temporary)
        scratch.mkdir(parents=True, exist_ok=True)
        found = {name: measured(name, given, scratch) for name in given.only or SPACES}
    if given.output:
        write_table(given.output / "README.md", table(found))
    print(table(found))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
