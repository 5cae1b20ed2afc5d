"""What the commands do, once the command line is read."""

import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from kdray.changes import check_unchanged
from kdray.errors import ConfigError, Problem, StoppedError
from kdray.loading import load_sweep_config
from kdray.locations import past_config, sweep_folder
from kdray.reporting.reading import read_summary, read_sweep, read_trials
from kdray.results.folder import SweepFolder, written_whole
from kdray.schema import SweepConfig

if TYPE_CHECKING:
    from kdray.sweep.run import Swept

FRONT_COLUMNS = {
    "trial": "trial",
    "macro-F1, test": "macro-F1",
    "accuracy, test": "accuracy",
    "size (MB)": "MB",
    "retention": "retention",
    "speed-up": "speed-up",
    "layers": "layers",
    "pruning": "pruning",
    "distillation": "distillation",
    "regime": "regime",
}


def launch_sweep(
    config: SweepConfig, folder: SweepFolder, command: str, address: str | None
) -> None:
    """Runs a sweep, or goes on with the one in its folder, and prints its front."""
    from kdray.sweep.joining import make_ready

    make_ready(address)
    from kdray.sweep.starting import preload, start_ray

    preload("kdray.sweep.run", *([] if address else ["transformers.modeling_utils"]))
    start_ray(address)
    from kdray.sweep.run import Launch, run_sweep

    console = Console()
    show_end(run_sweep(config, folder, Launch(command, address), console), folder, console)


def resume_sweep(
    folder: str, trials: int | None, address: str | None, as_begun: bool = False
) -> None:
    """Goes on with a sweep where it was cut off.

    Args:
        folder: Its folder.
        trials: Trials in all, if others than before.
        address: A Ray cluster's address.
        as_begun: Whether the search-space file may have changed since; the sweep goes on as begun.

    Raises:
        ConfigError: If the folder holds no sweep, or its file has changed.
    """
    more = [f"search.trials={trials}"] if trials is not None else []
    target = sweep_folder(folder, writable=True)
    config = past_config(target, more)
    if not as_begun:
        check_unchanged(config, read_sweep(target).get("source") or {})
    launch_sweep(config, target, "", address)


def run_one_trial(
    target: Path, trial_id: str | None, assignments: Sequence[str], output: Path | None
) -> None:
    """Runs one trial in this process: a new one of a space, or a past one of a sweep again."""
    from kdray.models.student import save_student

    console = Console()
    if target.is_dir() and trial_id is None:
        message = f"is the folder of a sweep; name one of its trials: kdray trial {target} 0000"
        raise ConfigError([Problem(str(target), message)])
    if trial_id is not None and assignments:
        message = "changes a new trial of a search space; a past trial is done again as it was"
        raise ConfigError([Problem("--set", message)])
    if trial_id is not None:
        finished = _past_trial(SweepFolder(target.resolve()), trial_id, console)
    else:
        finished = _new_trial(load_sweep_config(target, assignments), console)
    _print_metrics(finished.metrics, console)
    if output is not None:
        save_student(finished.student, output)
        console.print(f"student: {output}")


def _new_trial(config: SweepConfig, console: Console) -> Any:
    from kdray.evaluation.metrics import selection_metric
    from kdray.preparation import prepare
    from kdray.schema import trial_config
    from kdray.sweep.samplers import draw_one
    from kdray.trial import run_trial

    drawn = draw_one(config)
    for path, value in drawn.parameters.items():
        console.print(f"{path}: {value}", highlight=False)
    typed = trial_config(drawn.sections, config.evaluation, selection_metric(config.objectives))
    return run_trial(typed, prepare(config, console.print), _say_epoch(console))


def _past_trial(folder: SweepFolder, trial_id: str, console: Console) -> Any:
    import torch

    from kdray.evaluation.metrics import selection_metric
    from kdray.preparation import rebuild
    from kdray.schema import trial_config
    from kdray.teacher.keeping import Place
    from kdray.trial import run_trial
    from kdray.trial_folder import load_setup

    config = past_config(folder)
    setup = load_setup(folder, trial_id)
    torch.set_num_threads(setup.threads)
    metric = selection_metric(config.objectives)
    typed = trial_config(setup.sections, config.evaluation, metric)
    finished = run_trial(typed, rebuild(config, Place(folder, read_only=True)), _say_epoch(console))
    before = folder.result(trial_id)
    if before is not None and before.status == "completed":
        same = before.metrics[metric] == finished.metrics[metric]
        verdict = "the same as" if same else "NOT the same as"
        console.print(f"{metric} is {verdict} in the sweep: {before.metrics[metric]!r}")
    return finished


def remake_report(folder: str) -> None:
    """Writes tables and report of a sweep again, from its trial folders."""
    from kdray.reporting.report import write_report
    from kdray.reporting.summary import write_tables

    target = sweep_folder(folder)
    busy = sum(result.duration_s for result in target.results())
    seconds, runs = busy, {}
    if target.summary_json.exists():
        seconds, rows = read_summary(target)["duration_s"], read_trials(target)
        ids = rows["mlflow_run_id"].fillna("")
        runs = {trial: run for trial, run in zip(rows["trial_id"], ids, strict=True) if run}
    write_tables(target, duration_s=seconds, busy_s=busy, run_ids=runs)
    write_report(target)
    target.share(target.root)
    show_front(target, Console())


def show_end(ended: "Swept", folder: SweepFolder, console: Console) -> None:
    """Prints the front, and how to go on with a sweep that was cut off.

    Raises:
        StoppedError: If it was cut off.
    """
    show_front(folder, console)
    if ended.unrecorded:
        Console(stderr=True).print(
            f"warning: MLflow could not record all of it: {ended.unrecorded}", soft_wrap=True
        )
    if not ended.complete:
        raise StoppedError(
            f"stopped before the end; go on with `kdray resume {shlex.quote(folder.address)}`"
        )


def show_front(folder: SweepFolder, console: Console) -> None:
    """Prints the headline and the front of a sweep; the report has more columns."""
    from kdray.reporting.report import report_context

    context = report_context(folder)
    console.print(context["headline"], style="bold", highlight=False)
    shown = [i for i, c in enumerate(context["front"]["columns"]) if c["name"] in FRONT_COLUMNS]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index in shown:
        column = context["front"]["columns"][index]
        justify: Any = "right" if column["numeric"] else "left"
        table.add_column(FRONT_COLUMNS[column["name"]], justify=justify, no_wrap=True)
    for row in context["front"]["rows"]:
        table.add_row(*[row["cells"][index] for index in shown])
    console.print(table)
    console.print(f"report: {folder.root / 'report.html'}", soft_wrap=True, highlight=False)


def take_best(
    folder: str,
    max_size_mb: float | None,
    min_macro_f1: float | None,
    within: float | None,
    output: Path | None,
) -> None:
    """Names the best student under constraints, and copies it out."""
    from kdray.reporting.best import Constraints, best_student

    target = sweep_folder(folder)
    row = best_student(target, Constraints(max_size_mb, min_macro_f1, within))
    console = Console()
    console.print(f"trial {row['trial_id']}", style="bold")
    result = target.result(row["trial_id"])
    assert result is not None, "a trial on the front has a result"
    for name, value in result.parameters.items():
        console.print(f"{name}: {value}", highlight=False)
    _print_metrics(result.metrics, console)
    student = target.student(row["trial_id"])
    target.fetch(student)
    if not student.is_dir():
        again = f"kdray trial {folder} {row['trial_id']} --output DIR"
        message = f"has no weights of it (search.keep); make it again with `{again}`"
        raise ConfigError([Problem(folder, message)])
    if output is not None:
        student = copy_student(student, output)
    console.print(f"student: {student}", soft_wrap=True, highlight=False)
    console.print(
        f"    import kdray\n    student = kdray.load_student({str(student)!r})\n"
        "    student.predict(['a text'])",
        highlight=False,
        soft_wrap=True,
    )


def copy_student(student: Path, output: Path) -> Path:
    """Copies a student to a new folder, or in place of another student.

    Raises:
        ConfigError: If the folder holds something else.
    """
    from kdray.models.student import CARD

    if output.exists() and any(output.iterdir()) and not (output / CARD).exists():
        message = f"{output} holds something else; take a new folder"
        raise ConfigError([Problem("--output", message)])
    with written_whole(output.resolve()) as staging:
        shutil.copytree(student, staging, dirs_exist_ok=True)
    return output


def _say_epoch(console: Console) -> Any:
    def say(report: Any) -> None:
        values = ", ".join(
            f"{name} {report.metrics[name]:.3f}" for name in ("macro_f1", "accuracy", "size_mb")
        )
        console.print(f"epoch {report.epoch} of {report.epochs}: {values}", highlight=False)

    return say


def _print_metrics(metrics: Mapping[str, float], console: Console) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in metrics.items():
        table.add_row(name, f"{value:.4g}" if abs(value) < 1e5 else f"{value:,.0f}")
    console.print(table)
