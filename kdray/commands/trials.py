"""`kdray trial`: one trial in this process."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from kdray.commands.fronts import print_metrics
from kdray.commands.speaking import ALOUD, Voice, print_json
from kdray.errors import ConfigError, Problem
from kdray.loading import load_sweep_config
from kdray.locations import past_config
from kdray.results.folder import SweepFolder
from kdray.results.writable import folder_problems
from kdray.schema import SweepConfig
from kdray.waiting import shown_on


def run_one_trial(
    target: Path,
    trial_id: str | None,
    assignments: Sequence[str],
    output: Path | None,
    voice: Voice = ALOUD,
) -> None:
    """Runs one trial in this process: a new one of a space, or a past one of a sweep again."""
    from kdray.models.student import save_student

    if target.is_dir() and trial_id is None:
        message = f"is the folder of a sweep; name one of its trials: kdray trial {target} 0000"
        raise ConfigError([Problem(str(target), message)])
    if trial_id is not None and assignments:
        message = "changes a new trial of a search space; a past trial is done again as it was"
        raise ConfigError([Problem("--set", message)])
    if output is not None and (problems := folder_problems("--output", output)):
        raise ConfigError(problems)
    console = voice.progress()
    with shown_on(console):
        if trial_id is not None:
            found, finished = _past_trial(SweepFolder(target.resolve()), trial_id, console)
        else:
            found, finished = _new_trial(load_sweep_config(target, assignments), console)
    if output is not None:
        save_student(finished.student, output)
    if voice.as_json:
        print_json({**found, "metrics": finished.metrics, "student": output})
    else:
        _show_end(found | {"student": output}, finished.metrics, voice.result())


def _show_end(found: Mapping[str, Any], metrics: Mapping[str, float], console: Console) -> None:
    print_metrics(metrics, console)
    if "same" in found:
        verdict = "the same as" if found["same"] else "NOT the same as"
        console.print(
            f"{found['metric']} is {verdict} in the sweep: {found['before']!r}", soft_wrap=True
        )
    if found["student"] is not None:
        console.print(f"student: {found['student']}", soft_wrap=True)


def _new_trial(config: SweepConfig, console: Console) -> tuple[dict[str, Any], Any]:
    """Returns what was drawn, and the finished trial."""
    from kdray.evaluation.metrics import selection_metric
    from kdray.preparation import prepare
    from kdray.schema import trial_config
    from kdray.sweep.samplers import draw_one
    from kdray.trial import run_trial

    drawn = draw_one(config)
    for path, value in drawn.parameters.items():
        console.print(f"{path}: {value}", highlight=False)
    typed = trial_config(drawn.sections, config.evaluation, selection_metric(config.objectives))
    say = partial(console.print, highlight=False, soft_wrap=True)
    finished = run_trial(typed, prepare(config, say), _say_epoch(console))
    return {"parameters": drawn.parameters}, finished


def _past_trial(folder: SweepFolder, trial_id: str, console: Console) -> tuple[dict[str, Any], Any]:
    """Returns what a trial was and how it compares, and the trial as it is now."""
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
    found: dict[str, Any] = {"trial_id": trial_id, "parameters": setup.parameters}
    before = folder.result(trial_id)
    if before is not None and before.status == "completed":
        same = before.metrics[metric] == finished.metrics[metric]
        found |= {"metric": metric, "before": before.metrics[metric], "same": same}
    return found, finished


def _say_epoch(console: Console) -> Any:
    def say(report: Any) -> None:
        values = ", ".join(
            f"{name} {report.metrics[name]:.3f}" for name in ("macro_f1", "accuracy", "size_mb")
        )
        console.print(f"epoch {report.epoch} of {report.epochs}: {values}", highlight=False)

    return say
