"""What is written at the end of a sweep: what is still missing, the front, the report."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from kdray.results.folder import SweepFolder
from kdray.tracking.news import News, ending, measured, measured_place, write_news
from kdray.tracking.runs import TrialRuns


def end_trials(runs: TrialRuns, folder: SweepFolder, summary: Mapping[str, Any]) -> None:
    """Finishes the run of every trial, whatever was cut off, and tags the front."""
    found = runs.find()
    left = [result for result in folder.results() if result.trial_id not in runs.ended]
    refusals = [runs.write(it.trial_id, ending(it, {}, mends=True)) for it in left]
    for run in runs.find() if left else found:
        _close(runs, run, set(summary["front"]), summary.get("feasible"))
        _note_baseline(runs.client, run, summary)
    for refusal in filter(None, refusals):
        raise refusal


def _close(runs: TrialRuns, run: Any, front: set[str], feasible: Collection[str] | None) -> None:
    trial_id, there, client = run.data.tags["trial_id"], run.data.tags, runs.client
    tags = {"on_front": str(trial_id in front).lower()}
    if feasible is not None and there.get("status") == "completed":
        tags["feasible"] = str(trial_id in feasible).lower()
    if run.info.status == "RUNNING":
        tags["status"] = "interrupted"
        client.set_terminated(run.info.run_id, "KILLED")
    changed = {name: value for name, value in tags.items() if there.get(name) != value}
    if not run.inputs.dataset_inputs:
        runs.log_data(run.info.run_id)
    place = [it for it in measured_place(tags) if run.data.metrics.get(it[0]) != it[1]]
    write_news(client, run.info.run_id, News(metrics=place, tags=changed))


def _note_baseline(client: Any, run: Any, summary: Mapping[str, Any]) -> None:
    """Writes what a trial's student reaches without its teacher, if it is not there yet."""
    baseline = summary.get("baselines", {}).get(run.data.tags["trial_id"], {})
    known, found = run.data.metrics, measured(baseline.get("metrics", {}), 0)
    write_news(client, run.info.run_id, News(metrics=[it for it in found if it[0] not in known]))


def measured_sweep(summary: Mapping[str, Any]) -> News:
    """Returns the metrics of the parent run."""
    values = {f"teacher_{name}": value for name, value in summary["teacher"].items()}
    values |= {"hypervolume": summary["hypervolume"], "front_size": len(summary["front"])}
    values |= {f"trials_{name}": count for name, count in summary["trials"].items()}
    return News(metrics=measured(values, 0))


def reports(folder: SweepFolder) -> list[Path]:
    """Returns the files and folders that the parent run keeps: report, tables, verification."""
    names = ("report.html", "report.md", "pareto.png", "figures", "trials.csv", "sweep.yaml")
    others = [
        folder.errors_json,
        folder.importance_json,
        folder.verification_json,
        folder.confirmation_json,
    ]
    paths = [*(folder.root / name for name in names), *others]
    return [path for path in paths if path.exists()]


def store_files(runs: TrialRuns, paths: Collection[Path], stored: set[Path]) -> None:
    """Stores in the parent run what is not stored yet, and takes down what it stores."""
    for path in paths:
        if path not in stored:
            runs.client.log_artifact(runs.place.parent, str(path))
            stored.add(path)
