"""Checking `search.scheduler`: whether it could ever stop a trial."""

from collections.abc import Iterable, Mapping
from typing import Any

from kdray.config.domains import samples
from kdray.config.search import Fifo, ParetoAsha, Search
from kdray.config.sections import Training
from kdray.errors import Problem
from kdray.evaluation.metrics import is_after_training


def scheduler_problems(
    space: Mapping[str, Any], search: Search | None, objectives: Any
) -> list[Problem]:
    """Returns what is wrong with the scheduler.

    Args:
        space: The searchable sections, their domains parsed and without problems.
        search: The section, if it is valid.
        objectives: What the file holds.
    """
    if search is None or isinstance(search.scheduler, Fifo):
        return []
    return [
        *_epoch_problems(space["training"], search.scheduler),
        *_objective_problems(search.scheduler.name, objectives),
    ]


def _epoch_problems(training: Any, scheduler: Any) -> list[Problem]:
    key = "first_rung" if isinstance(scheduler, ParetoAsha) else "grace_epochs"
    first, epochs = getattr(scheduler, key), _most_epochs(samples(training))
    if epochs is None or first < epochs:
        return []
    message = (
        f"must be below training.epochs, at most {epochs}, or no trial is ever stopped, but got "
        f"{first}; give the trials more epochs, or take `scheduler: fifo`"
    )
    return [Problem(f"search.scheduler.{key}", message)]


def _most_epochs(training: Iterable[Any]) -> int | None:
    """Returns the most epochs that can be drawn; None if they are wrong, which others tell."""
    epochs = [
        section.get("epochs", Training().epochs)
        for section in training
        if isinstance(section, Mapping)
    ]
    return max((number for number in epochs if isinstance(number, int)), default=None)


def _objective_problems(name: str, objectives: Any) -> list[Problem]:
    if not isinstance(objectives, Mapping) or not objectives:
        return []
    if not all(is_after_training(str(metric)) for metric in objectives):
        return []
    message = (
        f"{name} compares trials while they train, but no objective is measured before the end "
        f"({', '.join(map(str, objectives))}); add another, or take `scheduler: fifo`"
    )
    return [Problem("search.scheduler", message)]
