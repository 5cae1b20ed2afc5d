"""Warm start: which trials of earlier sweeps a new one can learn from.

A trial is learnt from if this space could have drawn it and its metrics mean the same here: same
data, same teacher, same evaluation, same metric that selects the epoch. The seed may differ: then
the teacher is another one of the same kind, and the metrics are noisier, but no less worth.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kdray.config.drawing import flatten
from kdray.config.replaying import replay
from kdray.config.search import Search
from kdray.config.sections import Evaluation
from kdray.config.teachers import Teacher
from kdray.config.validation import checked, shown
from kdray.errors import ConfigError, Problem
from kdray.evaluation.metrics import selection_metric
from kdray.results.folder import SweepFolder
from kdray.results.records import TrialResult
from kdray.results.sweep_file import read_sweep_file
from kdray.schema import SweepConfig, checked_data, completed, filled, options_taken

# Where the teacher's outputs are kept, and when it is good enough, change no metric.
_NO_MATTER = ("cache", "verify")
_PATHS = ("data.train", "data.validation", "data.test", "data.unlabeled", "teacher.model")


@dataclass(frozen=True)
class EarlierTrial:
    """A trial that can be learnt from.

    Attributes:
        name: The sweep's name and the trial's id, such as `multilabel/0003`.
        choices: What was drawn, by this space's sampler's names.
        metrics: Validation metrics, sizes and speed.
    """

    name: str
    choices: Mapping[str, Any]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class EarlierSweep:
    """What one of `search.warm_start` has to teach.

    Attributes:
        folder: Its folder.
        trials: The trials that can be learnt from, in the order of their ids.
        left_out: How many other trials it has.
    """

    folder: Path
    trials: Sequence[EarlierTrial]
    left_out: int


def folder_problems(search: Search | None, base: Path) -> list[Problem]:
    """Returns a problem for each of `search.warm_start` that is no sweep, or stands twice.

    Args:
        search: The section, if it is valid.
        base: The folder that relative paths start from.
    """
    found = [] if search is None else _folders(search, base)
    return [
        Problem(where, message)
        for index, (where, folder) in enumerate(found)
        if (message := _no_sweep(folder) or _twice(folder, [other for _, other in found[:index]]))
    ]


def earlier_sweeps(config: SweepConfig) -> list[EarlierSweep]:
    """Returns what the sweeps in `search.warm_start` have to teach.

    Raises:
        ConfigError: If one is no sweep, has other data, another teacher or another evaluation, or
            has no trial that this space could have drawn.
    """
    problems = folder_problems(config.search, config.base)
    if problems:
        raise ConfigError(problems)
    found = []
    for where, folder in _folders(config.search, config.base):
        wrong = list(_differences(where, folder, config))
        sweep = _read(folder, config)
        if not wrong and not sweep.trials:
            wrong = [Problem(where, f"teaches nothing: {_why_none(folder, config)}")]
        problems += wrong
        found.append(sweep)
    if problems:
        raise ConfigError(problems)
    return found


def _folders(search: Search, base: Path) -> list[tuple[str, SweepFolder]]:
    return [
        (f"search.warm_start.{index}", SweepFolder((base / path).resolve()))
        for index, path in enumerate(search.warm_start)
    ]


def _no_sweep(folder: SweepFolder) -> str:
    if not folder.root.is_dir():
        return f"no such folder: {folder.root}"
    if not folder.sweep_yaml.is_file() or not folder.results():
        return f"{folder.root} is no sweep with finished trials: it needs sweep.yaml and trials/"
    return ""


def _twice(folder: SweepFolder, others: Sequence[SweepFolder]) -> str:
    return f"{folder.root} stands twice; keep one of them" if folder in others else ""


def _differences(where: str, folder: SweepFolder, config: SweepConfig) -> Iterator[Problem]:
    """Yields a problem for every setting that makes metrics of two sweeps incomparable."""
    written = read_sweep_file(folder, "base")
    theirs = _settings(written["config"], Path(written["base"]))
    ours = _settings(config.content, config.base)
    for key in dict.fromkeys([*ours, *theirs]):
        there, here = theirs.get(key), ours.get(key)
        if there != here:
            message = (
                f"{folder.root} cannot be learnt from, because {key} is {shown(there)} there and "
                f"{shown(here)} here"
            )
            yield Problem(where, message)


def _settings(content: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Returns what metrics depend on beside the drawn values, by dotted keys, paths resolved.

    Sections are validated again, so that an option that is newer than a sweep has its default.
    """
    data = checked_data(content["data"])[0]
    teacher = checked(Teacher, content["teacher"], "teacher")[0]
    evaluation = checked(Evaluation, content["evaluation"], "evaluation")[0]
    sections = {"data": data, "teacher": teacher, "evaluation": evaluation}
    plain = {
        name: content[name] if section is None else section.model_dump(mode="json")
        for name, section in sections.items()
    }
    plain["teacher"] = {k: v for k, v in plain["teacher"].items() if k not in _NO_MATTER}
    settings = flatten(plain)
    located = {key: _located(settings[key], base) for key in _PATHS if key in settings}
    selected_by = selection_metric(content["objectives"])
    return settings | located | {"the metric that selects the epoch": selected_by}


def _located(value: Any, base: Path) -> Any:
    if isinstance(value, list):
        return [_located(item, base) for item in value]
    is_path = isinstance(value, str) and (base / value).exists()
    return str((base / value).resolve()) if is_path else value


def _read(folder: SweepFolder, config: SweepConfig) -> EarlierSweep:
    results = folder.results()
    trials = []
    for result in results:
        if not _not_measured(result, config):
            sections = _sections(folder, result.trial_id, config)
            drawn, differing = replay(config.space, sections, options_taken)
            name = f"{folder.name}/{result.trial_id}"
            trials += [] if differing else [EarlierTrial(name, drawn.choices, result.metrics)]
    return EarlierSweep(folder.root, trials, len(results) - len(trials))


def _not_measured(result: TrialResult, config: SweepConfig) -> str:
    """Returns why a trial has no values to tell, or nothing."""
    if result.status != "completed":
        return "did not complete"
    missing = [m for m in config.objectives if not math.isfinite(result.metrics.get(m, math.nan))]
    return f"has no {', '.join(missing)}" if missing else ""


def _sections(folder: SweepFolder, trial_id: str, config: SweepConfig) -> dict[str, Any]:
    """Returns a trial's sections; an option or section that is newer than it had its default."""
    file = folder.trial(trial_id) / "config.yaml"
    sections = completed(yaml.safe_load(file.read_text(encoding="utf-8"))["sections"])
    plain = filled(config.content)
    return sections | {name: part for name, part in filled(sections).items() if name in plain}


def _why_none(folder: SweepFolder, config: SweepConfig) -> str:
    """Returns why no trial can be learnt from: by the one that lacks least."""
    completed = [r for r in folder.results() if r.status == "completed"]
    if not completed:
        return f"no trial of {folder.root} completed"
    measured = [result for result in completed if not _not_measured(result, config)]
    if not measured:
        return (
            f"trial {completed[0].trial_id} of {folder.root} {_not_measured(completed[0], config)}"
        )
    lacks = {
        result.trial_id: replay(
            config.space, _sections(folder, result.trial_id, config), options_taken
        )[1]
        for result in measured
    }
    nearest = min(lacks, key=lambda trial_id: len(lacks[trial_id]))
    told = "; ".join(f"{key} is {what}" for key, what in lacks[nearest].items())
    return f"no trial of {folder.root} is of this space; in the nearest, {nearest}, {told}"
