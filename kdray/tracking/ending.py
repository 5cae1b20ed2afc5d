"""What is written at the end of a sweep: what is still missing, the front, its students."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from kdray.results.folder import SweepFolder
from kdray.tracking.news import News, ending, measured, write_news
from kdray.tracking.runs import TrialRuns

# Run, path on disk, and folder among the run's artifacts.
Artifact = tuple[str, Path, str | None]


def end_trials(runs: TrialRuns, folder: SweepFolder, summary: Mapping[str, Any]) -> None:
    """Finishes the run of every trial, whatever was cut off, and tags the front."""
    found = runs.find()
    left = [result for result in folder.results() if result.trial_id not in runs.ended]
    refusals = [runs.write(it.trial_id, ending(it, {}, mends=True)) for it in left]
    for run in runs.find() if left else found:
        _close(runs.client, run, set(summary["front"]), summary.get("feasible"))
        _note_baseline(runs.client, run, summary)
    for refusal in filter(None, refusals):
        raise refusal


def _close(client: Any, run: Any, front: set[str], feasible: Collection[str] | None) -> None:
    trial_id, there = run.data.tags["trial_id"], run.data.tags
    tags = {"on_front": str(trial_id in front).lower()}
    if feasible is not None and there.get("status") == "completed":
        tags["feasible"] = str(trial_id in feasible).lower()
    if run.info.status == "RUNNING":
        tags["status"] = "interrupted"
        client.set_terminated(run.info.run_id, "KILLED")
    changed = {name: value for name, value in tags.items() if there.get(name) != value}
    write_news(client, run.info.run_id, News(tags=changed))


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


def artifacts(runs: TrialRuns, folder: SweepFolder, front: Collection[str]) -> list[Artifact]:
    """Returns what is stored in MLflow: the students of the front, report and verification."""
    ids = [trial_id for trial_id in sorted(front) if trial_id in runs.ids]
    students = [(runs.ids[trial_id], folder.student(trial_id), "student") for trial_id in ids]
    names = ("report.html", "report.md", "pareto.png", "trials.csv", "sweep.yaml")
    paths = [*(folder.root / name for name in names), folder.verification_json]
    reports = [(runs.place.parent, path, None) for path in paths]
    figures = (runs.place.parent, folder.root / "figures", "figures")
    return [artifact for artifact in [*students, *reports, figures] if artifact[1].exists()]


def store_artifacts(client: Any, wanted: Collection[Artifact], stored: set[Artifact]) -> None:
    """Stores what is wanted and not stored yet, and takes down what it stores."""
    for artifact in wanted:
        if artifact not in stored:
            run_id, path, inside = artifact
            store = client.log_artifacts if path.is_dir() else client.log_artifact
            store(run_id, str(path), inside)
            stored.add(artifact)
