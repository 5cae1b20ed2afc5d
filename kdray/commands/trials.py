"""`kdray trial`: one trial in this process."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from kdray.commands.fronts import print_metrics
from kdray.errors import ConfigError, Problem
from kdray.loading import load_sweep_config
from kdray.locations import past_config
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig


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
    print_metrics(finished.metrics, console)
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


def _say_epoch(console: Console) -> Any:
    def say(report: Any) -> None:
        values = ", ".join(
            f"{name} {report.metrics[name]:.3f}" for name in ("macro_f1", "accuracy", "size_mb")
        )
        console.print(f"epoch {report.epoch} of {report.epochs}: {values}", highlight=False)

    return say
