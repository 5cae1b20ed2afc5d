"""`kdray init`: a first search-space file, from what can be seen and what is asked."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from kdray.commands.asking import Ask, Interview
from kdray.commands.budgets import Budget, measured, parsed_budget
from kdray.commands.seen_data import checked_file, data_section, seen_words
from kdray.commands.space_text import UNKNOWN, Plan, space_text
from kdray.config.loading import parse_document
from kdray.config.search import Search
from kdray.errors import ConfigError, Problem
from kdray.loading import default_name, parse_sweep_config
from kdray.models.sources import classes_of, model_settings
from kdray.reading import Data, read_data
from kdray.results.folder import write_text
from kdray.results.writable import file_problems
from kdray.schema import SweepConfig
from kdray.waiting import shown_on

# Files that are called after their split are known by their folder.
SPLIT_NAMES = ("train", "training", "data")


@dataclass(frozen=True)
class Wishes:
    """What a user has said already; None: nothing.

    Attributes:
        data: Training file; empty: made-up comments.
        text: Its column of texts, or two with a comma between.
        labels: Its 0/1 columns with commas between, or its column of classes.
        teacher: Hub id or folder; empty: from scratch.
        budget: `2h`, or `40 trials`.
        name: Of the sweep.
    """

    data: str | None = None
    text: str | None = None
    labels: str | None = None
    teacher: str | None = None
    budget: str | None = None
    name: str | None = None


def write_first_space(file: Path | None, wishes: Wishes, ask: Ask | None, force: bool) -> None:
    """Writes a search-space file that passes `kdray validate`.

    Args:
        file: Where; None: named after the sweep, in this folder.
        wishes: What is known already.
        ask: Asks for the rest; None: what is proposed is taken.
        force: Whether a file that is there is overwritten.

    Raises:
        ConfigError: If the file is there, or data, teacher or budget are wrong. Nothing is written
            then.
    """
    console, interview = Console(), Interview(ask)
    wishes = replace(wishes, data=interview.answer(wishes.data, *_DATA, checked_file))
    target = file or Path(f"{_usual_name(wishes)}.yaml")
    if target.exists() and not force:
        problem = Problem(str(target), "is there already; name another, or overwrite it: --force")
        raise ConfigError([problem])
    if problems := file_problems("FILE", target):
        raise ConfigError(problems)
    plan, data = _of_data(wishes, target, interview)
    console.print(f"data: {plan.found}", highlight=False, markup=False, soft_wrap=True)
    budget = interview.answer(
        wishes.budget, *_BUDGET, partial(parsed_budget, trials=Search().trials)
    )
    with_teacher = partial(_of_teacher, plan, data=data, target=target)
    plan = interview.answer(wishes.teacher, *_TEACHER, with_teacher)
    plan = _of_budget(plan, budget, target, console)
    write_text(target, space_text(plan, target))
    _show_end(target, plan, console)


_DATA = ("Training file (.csv, .parquet, .jsonl; empty: made-up comments)", "")
_TEACHER = ("Teacher, a hub id or a folder (empty: one is trained from scratch)", "")
_BUDGET = ("Budget, such as 2h or 40 trials", f"{Search().trials} trials")


def _usual_name(wishes: Wishes) -> str:
    if wishes.name or not wishes.data:
        return default_name(wishes.name or "first.yaml")
    path = Path(wishes.data).resolve()
    return default_name(path.parent.name if path.stem.lower() in SPLIT_NAMES else path.name)


def _of_data(wishes: Wishes, target: Path, interview: Interview) -> tuple[Plan, Data]:
    """Returns a plan with a teacher from scratch, and the data that it is about."""
    section = data_section(wishes.data or "", wishes.text, wishes.labels, target, interview)
    name = wishes.name or default_name(target.name)
    search = {"trials": Search().trials, "sampler": Search().sampler.name}
    plan = Plan(name, section, "", None, {}, False, search, "")
    with shown_on(Console()):
        data = read_data(_checked(plan, target))
    return replace(plan, found=seen_words(section, data)), data


def _of_teacher(plan: Plan, teacher: str, data: Data, target: Path) -> Plan:
    if not teacher:
        return plan
    folder = Path(teacher)
    settings, model = model_settings(teacher), teacher
    if folder.is_dir():
        relative = os.path.relpath(folder, target.resolve().parent)
        model = relative if relative.startswith((".", "/")) else f"./{relative}"
    names, labels = classes_of(settings), list(data.labels.names)
    unnamed = names == [f"LABEL_{index}" for index in range(len(labels))]
    if data.labels.kind == "multi_label" and sorted(names) == sorted(labels):
        # The labels of a file are in the teacher's order.
        plan = replace(plan, data={**plan.data, "labels": names})
        labels = names
    tuned = unnamed or names == labels
    plan = replace(plan, model=model, settings=settings, is_tuned=tuned)
    _checked(plan, target)
    return plan


def _of_budget(plan: Plan, budget: Budget, target: Path, console: Console) -> Plan:
    """Returns the plan with as many trials as fit; a time is measured on a tiny batch."""
    search: Mapping[str, Any] = {**plan.search, "trials": budget.trials}
    cost = "`kdray validate` estimates how long they take on this machine."
    if budget.seconds is not None:
        search = {**search, "time_budget_s": budget.seconds}
        if plan.is_unknown:
            cost = "Not measured, as the teacher could not be reached; the time ends it."
        else:
            config = _checked(plan, target)
            with shown_on(console):
                trials, cost = measured(config, budget.seconds)
            search = {**search, "trials": trials}
    plan = replace(plan, search=search, cost=cost)
    _checked(plan, target)
    return plan


def _checked(plan: Plan, target: Path) -> SweepConfig:
    """Returns what the file will hold, loaded as it will be."""
    text = space_text(plan, target)
    return parse_sweep_config(parse_document(text, str(target), target.resolve().parent))


def _show_end(target: Path, plan: Plan, console: Console) -> None:
    teacher = "trained from scratch" if plan.model is None else plan.model
    how = " as it is" if plan.is_tuned else ", fine-tuned first" if plan.model else ""
    if plan.is_unknown:
        how = f" {UNKNOWN}; `kdray validate` needs it"
    lines = [
        f"teacher: {teacher}{how}",
        f"search: {plan.search['trials']} trials. {plan.cost}",
        f"written: {target}",
        f"next: kdray validate {target}",
        f"then: kdray sweep {target}",
    ]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
