"""Trying a search space out: data and every drawable method on a tiny batch, before GPU hours."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch

from kdray.config.drawing import enumerate_grid
from kdray.data.base import LEARNT, Examples
from kdray.data.dataset import Dataset, Rows
from kdray.errors import ConfigError, KdrayError, Problem
from kdray.evaluation.metrics import selection_metric
from kdray.models.building import config_of
from kdray.preparation import (
    PreparedSweep,
    assemble,
    teacher_needs,
)
from kdray.pruning.table import PRUNING
from kdray.pruning_checks import cautions
from kdray.reading import Data, read_data
from kdray.schema import SweepConfig, TrialConfig, options_taken, pruning_list, trial_config
from kdray.space_checks import drawable_regimes, drawable_trainings, sample_sections
from kdray.starts import configs_of, encoded_by_own, load_starts
from kdray.teachers import begin_teachers, with_splits
from kdray.trial import run_trial
from kdray.waiting import each

TINY = 128


@dataclass(frozen=True)
class Cost:
    """What a sweep is estimated to take.

    Attributes:
        trial_s: Seconds of the longest trial, on one core of this machine.
        epochs: Epochs of that.
        trials: Trials in all.
    """

    trial_s: float
    epochs: int
    trials: int

    def __str__(self) -> str:
        return (
            f"estimated cost: {about(self.trial_s)} a trial on one core of this machine (its "
            f"{self.epochs} epochs), {about(self.trial_s * self.trials)} of one core for "
            f"{self.trials} trials; the teacher comes on top"
        )


def about(seconds: float) -> str:
    """Returns how long something takes, in words: "under a second", "40 s", "12 minutes"."""
    if seconds < 1:
        return "under a second"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"


@dataclass(frozen=True)
class Tried:
    """One pair of methods on a tiny batch.

    Attributes:
        name: Pruning and distillation method.
        seconds: What one epoch of the tiny trial took.
        problem: Why it failed, None if it did not.
    """

    name: str
    seconds: float
    problem: str | None


OnTried = Callable[[Tried], None]


@dataclass(frozen=True)
class Validated:
    """What was found of a search space.

    Attributes:
        sizes: Examples of each split.
        tried: The pairs of methods.
        cautions: What was noticed of the data and the teachers, and what tends to go wrong.
        reachable: The sizes that a pruning method can cut to, in words, by its dotted name, where
            they are few.
        cost: What a sweep will take.
    """

    sizes: Mapping[str, int]
    tried: tuple[Tried, ...]
    cautions: tuple[str, ...]
    reachable: Mapping[str, str]
    cost: Cost


def validated(
    config: SweepConfig, on_sizes: Callable[[Mapping[str, int]], None], on_tried: OnTried
) -> Validated:
    """Tries a search space out, every drawable pair of methods on a tiny batch.

    Args:
        config: The search space.
        on_sizes: Takes the examples of each split, once they are read.
        on_tried: Takes each pair that was tried.

    Raises:
        ConfigError: With every problem of the data, the teacher, and methods that fail.
    """
    torch.set_num_threads(1)
    data = read_data(config)
    prepared, sizes = tiny_sweep(config, data)
    on_sizes(sizes)
    tried = []
    for name, trial in each("trying methods", list(method_pairs(config))):
        tried.append(try_out(name, trial, prepared))
        on_tried(tried[-1])
    problems = [Problem(one.name, one.problem) for one in tried if one.problem]
    if problems:
        raise ConfigError(problems, config.source.get("path", ""))
    return Validated(
        sizes,
        tuple(tried),
        (*data.notes, *describe_ensemble(config), *cautions(config.space)),
        reachable_sizes(config, config_of(prepared.teacher)),
        estimate(config, tried, sizes),
    )


def tiny_sweep(config: SweepConfig, data: Data) -> tuple[PreparedSweep, dict[str, int]]:
    """Returns a prepared sweep of a few examples with an untrained teacher, and the real sizes."""
    teachers = begin_teachers(config, data)
    starts = load_starts(config, data.labels, teachers[0].tokenizer)
    needs = teacher_needs(config, data.labels, teachers[0].model.config, configs_of(starts))
    splits = data.encoded(teachers[0].tokenizer, config.data.max_length)
    rows = {name: _spread(part) for name, part in splits.items()}
    few = {name: _chosen(part, rows[name]) for name, part in data.examples.items()}
    data = replace(data, examples=few)
    anything = config.teacher.verify.model_copy(update={"minimum": 0.0, "on_failure": "warn"})
    tiny = replace(config, teacher=config.teacher.model_copy(update={"verify": anything}))
    candidates = [with_splits(one, data) for one in teachers]
    prepared = assemble(tiny, candidates, needs, starts=starts)
    sizes = {name: len(part) for name, part in splits.items()}
    own_splits = encoded_by_own(starts, data, config.data.max_length)
    return replace(prepared, texts=data.texts(config.space), own_splits=own_splits), sizes


def method_pairs(config: SweepConfig) -> Iterator[tuple[str, TrialConfig]]:
    """Yields every drawable pair of pruning and distillation, with one epoch.

    Each other regime than the first is paired with one way of distillation.
    """
    chosen: dict[str, dict[str, Any]] = {}
    samples = list(sample_sections(config.space))
    for pruned, taught in product(samples, samples):
        names = [item["method"] for _, item in pruning_list(pruned["pruning"])]
        names = [" + ".join(names), taught["distillation"]["method"]]
        names += [taught["regime"]["name"]] if taught["regime"]["name"] != "single" else []
        name = ", ".join(names)
        chosen.setdefault(name, taught | {"pruning": pruned["pruning"]})
    for name, sections in chosen.items():
        training = {**sections["training"], "epochs": 1}
        metric = selection_metric(config.objectives)
        yield name, trial_config(sections | {"training": training}, config.evaluation, metric)


def try_out(name: str, trial: TrialConfig, prepared: PreparedSweep) -> Tried:
    """Runs one tiny trial."""
    try:
        finished = run_trial(trial, prepared)
    except KdrayError as error:
        return Tried(name, 0.0, str(error))
    return Tried(name, finished.epochs[0].duration_s, None)


def configurations(config: SweepConfig) -> int | None:
    """Returns how many configurations there are; None for a continuous space."""
    try:
        return sum(1 for _ in enumerate_grid(config.space, options_taken))
    except ValueError:
        return None


def describe_ensemble(config: SweepConfig) -> list[str]:
    """Returns a line about who teaches together; none for one teacher."""
    models = config.teacher.model
    if not isinstance(models, list):
        return []
    parts = zip(models, config.teacher.shares, strict=True)
    names = " and ".join(f"{name} ({share:.3g})" for name, share in parts)
    rest = "layers, hidden states and tokenizer of students are from the first"
    return [f"teacher: an ensemble of {names}; {rest}"]


def reachable_sizes(config: SweepConfig, teacher: Any) -> dict[str, str]:
    """Returns what each drawable pruning method can cut to, by its dotted name, if to few sizes.

    Args:
        config: The search space.
        teacher: The teacher's transformers configuration.
    """
    items = [
        item
        for sections in sample_sections(config.space)
        for item in pruning_list(sections["pruning"])
    ]
    found = {
        f"{path}.{item['method']}": PRUNING[item["method"]].reachable(teacher)
        for path, item in items
    }
    return {name: sizes for name, sizes in found.items() if sizes}


def estimate(config: SweepConfig, tried: Sequence[Tried], sizes: Mapping[str, int]) -> Cost:
    """Returns the estimated cost, from what an epoch of the tiny trials took.

    The tiny trials run on one thread, as a trial on one core; what was tried first warmed up.
    """
    learnt = [sizes[name] for name in LEARNT if name in sizes]
    times = sum(learnt) / sum(min(TINY, size) for size in learnt)
    epoch = times * float(np.median([one.seconds for one in tried[1:] or tried]))
    epochs = max(training.epochs for training in drawable_trainings(config.space))
    epochs *= max(regime.trainings for regime in drawable_regimes(config.space))
    return Cost(epoch * epochs, epochs, config.search.trials)


def _chosen(examples: Examples, rows: Rows) -> Examples:
    return Examples(tuple(examples.texts[row] for row in rows), examples.targets[rows])


def _spread(dataset: Dataset) -> np.ndarray:
    """Returns up to 128 rows of all lengths."""
    order = np.argsort(dataset.lengths, kind="stable")
    return order[np.linspace(0, len(order) - 1, min(TINY, len(order))).round().astype(np.int64)]
