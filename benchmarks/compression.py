"""How small can students become, of the same number format, and still keep what the teacher knows?

    python benchmarks/compression.py --data ../shared/data --pretrained MINILM

Three sweeps: `search_spaces/compression.yaml` on Bangla comments (a teacher from scratch, every
pruner), and the two spaces of reports/compression: GoEmotions with a pretrained teacher (the first
10,000 training rows) and TREC. MINILM is a folder with sentence-transformers/all-MiniLM-L6-v2. For
each bound on the size the student with the best macro-F1 on validation is taken; its test macro-F1
is what counts. The reports go to `--output`, and a table to its README.md, between two marks.
Prints the table, and JSON in the last line.
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

import pandas as pd
from readme_table import write_table
from rich.console import Console

from kdray.loading import load_sweep_config
from kdray.reporting.reading import read_verification
from kdray.results.folder import SweepFolder
from kdray.results.records import TrialResult
from kdray.sweep import run
from kdray.sweep.opening import Launch
from kdray.sweep.starting import start_ray

ROOT = Path(__file__).parent.parent
REPORTS = ROOT / "reports" / "compression"
SPACES = {
    "bangla": (ROOT / "search_spaces" / "compression.yaml", "bangla_cyberbully"),
    "goemotions": (REPORTS / "goemotions.yaml", "goemotions_ekman"),
    "trec": (REPORTS / "trec.yaml", "trec6"),
}
ROWS = 10_000
BOUNDS = (0.25, 0.10)
PUBLISHED = ("report.html", "report.md", "trials.csv")


def overrides(name: str, data: Path, pretrained: Path | None, scratch: Path) -> list[str]:
    """Returns where the data are, and the teacher."""
    folder = data / SPACES[name][1]
    if not folder.is_dir():
        raise SystemExit(f"needs {folder}; the data sets are not part of kdray")
    found = {split: folder / f"{split}.csv" for split in ("train", "validation", "test")}
    if name == "goemotions":
        found["train"] = scratch / "train.csv"
        table = pd.read_csv(folder / "train.csv", keep_default_na=False)
        table[:ROWS].to_csv(found["train"], index=False)
    teacher = [f"teacher.model={pretrained}"] if name == "goemotions" and pretrained else []
    return [f"data.{split}={file.resolve()}" for split, file in found.items()] + teacher


def sweep(name: str, given: argparse.Namespace, scratch: Path) -> SweepFolder:
    """Runs a sweep, if its folder is not there yet, and returns the folder."""
    swept = SweepFolder(scratch / "runs" / name)
    if not swept.summary_json.exists():
        settings = overrides(name, given.data, given.pretrained, scratch)
        settings += [f"search.trials={given.trials}"] if given.trials else []
        config = load_sweep_config(SPACES[name][0], [*settings, f"name={name}"])
        run.run_sweep(config, swept, Launch("benchmarks/compression.py"), Console())
    return swept


def best_within(results: Sequence[TrialResult], share: float) -> TrialResult | None:
    """Returns the trial with the best validation macro-F1 whose student is small enough."""
    small = [r for r in results if r.status == "completed" and r.metrics["size_share"] <= share]
    return max(small, key=lambda r: r.metrics["macro_f1"], default=None)


def measured(swept: SweepFolder) -> dict[str, Any]:
    """Returns the teacher, the chosen students, and what pruning and evaluation take of a trial."""
    results, teacher = swept.results(), read_verification(swept)["metrics"]
    done = [r for r in results if r.status == "completed"]
    beside = [(r.stage_s["prune"] + r.stage_s["evaluate"]) / r.stage_s["distil"] for r in done]
    return {
        "teacher": {name: teacher[name] for name in ("size_mb", "macro_f1", "test_macro_f1")},
        "students": {str(share): _student(best_within(done, share)) for share in BOUNDS},
        "trials": len(results),
        "failed": sum(r.status == "failed" for r in results),
        "beside_distillation": statistics.median(beside) if beside else None,
    }


def _student(trial: TrialResult | None) -> dict[str, Any] | None:
    if trial is None:
        return None
    wanted = ("size_mb", "size_share", "macro_f1", "test_macro_f1", "test_retention", "speedup")
    chosen = {name: value for name, value in trial.parameters.items() if "pruning" in name}
    return {"trial_id": trial.trial_id, **{k: trial.metrics[k] for k in wanted}, "pruning": chosen}


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns the table in Markdown."""
    lines = [
        "| data | teacher: size, test macro-F1 | student within | size | test macro-F1 | keeps | "
        "faster | trial |",
        "| --- | --- | --: | --: | --: | --: | --: | --- |",
    ]
    for name, row in found.items():
        teacher = f"{row['teacher']['size_mb']:.2f} MB, {row['teacher']['test_macro_f1']:.3f}"
        for share, student in row["students"].items():
            head = f"| {name} | {teacher} | {float(share):.0%} "
            if student is None:
                lines.append(f"{head}| none | | | | |")
                continue
            lines.append(
                f"{head}| {student['size_mb']:.2f} MB ({student['size_share']:.1%}) "
                f"| {student['test_macro_f1']:.3f} | {student['test_retention']:.1%} "
                f"| {student['speedup']:.1f} × | {student['trial_id']} |"
            )
    return "\n".join(lines)


def publish(swept: SweepFolder, output: Path, folders: Mapping[str, Path]) -> None:
    """Copies a sweep's report, with a word for each folder of this machine."""
    output.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(swept.root / "pareto.png", output / "pareto.png")
    shutil.copytree(swept.root / "figures", output / "figures", dirs_exist_ok=True)
    for file in PUBLISHED:
        text = (swept.root / file).read_text(encoding="utf-8")
        for word, folder in folders.items():
            text = text.replace(str(folder.resolve()), word)
        (output / file).write_text(text, encoding="utf-8")


def main() -> None:
    """Runs the sweeps, publishes their reports, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pretrained", type=Path, help="folder of the pretrained teacher")
    parser.add_argument("--only", choices=SPACES, action="append", help="of these sets alone")
    parser.add_argument("--trials", type=int, help="in place of what the spaces say")
    parser.add_argument("--scratch", type=Path, help="keep the sweeps there, and take what is")
    parser.add_argument("--output", type=Path, help="publish the reports there")
    given = parser.parse_args()
    start_ray(None)
    with tempfile.TemporaryDirectory() as temporary:
        scratch = given.scratch or Path(temporary)
        scratch.mkdir(parents=True, exist_ok=True)
        swept = {name: sweep(name, given, scratch) for name in given.only or SPACES}
        found = {name: measured(folder) for name, folder in swept.items()}
        if given.output:
            folders = {"DATA": given.data, "SCRATCH": scratch}
            folders |= {"MINILM": given.pretrained} if given.pretrained else {}
            for name, folder in swept.items():
                publish(folder, given.output / name, folders)
            write_table(given.output / "README.md", table(found))
    print(table(found))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
