"""Checking what the family of the teacher's model cannot do, once the model is there."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from kdray.config.sections import Student
from kdray.config.validation import dotted
from kdray.distillation.regimes import Progressive
from kdray.errors import ConfigError, Problem
from kdray.models.building import layer_list
from kdray.models.classifier import is_known, unknown_family
from kdray.models.recomputing import can_recompute
from kdray.pruning_checks import drawable_pruning
from kdray.schema import SweepConfig, checked_sections
from kdray.space_checks import sample_sections


def check_family(config: SweepConfig, model: Any, *others: Any) -> None:
    """Checks that a teacher, and those copied from it, can do what is asked of them.

    Args:
        config: The sweep, without problems.
        model: The teacher's model.
        others: Those of the further members of an ensemble; nothing is copied from them.

    Raises:
        ConfigError: With a problem for each option that its family has no way to do.
    """
    problems = [p for one in (model, *others) for p in _teacher_problems(config, one)]
    problems += _student_problems(config, model)
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))


def _teacher_problems(config: SweepConfig, model: Any) -> Iterator[Problem]:
    training = config.teacher.training
    if training is not None and training.gradient_checkpointing and not can_recompute(model):
        yield _not_recomputed("teacher.training", model)


def _student_problems(config: SweepConfig, model: Any) -> Iterator[Problem]:
    drawable = [checked_sections(sections)[0] for sections in sample_sections(config.space)]
    copied = [found["student"] for found in drawable if _is_copied(found["student"])]
    yield from _classifier_problems(copied, model)
    again = any(found["training"].gradient_checkpointing for found in drawable)
    assistants = any(isinstance(found["regime"], Progressive) for found in drawable)
    if (copied or assistants) and again and not can_recompute(model):
        yield _not_recomputed("training", model)
    yield from _layer_problems(copied, assistants, model)
    if copied:
        yield from _cut_problems(config, model)


def _classifier_problems(copied: Sequence[Student], model: Any) -> Iterator[Problem]:
    if is_known(model.config):
        return
    wanted = {"pooling": (None, "cls"), "head": ("linear",)}
    for key, usual in wanted.items():
        if any(getattr(student, key) not in usual for student in copied):
            way_out = f"leave it at {usual[-1]}"
            message = f"the teacher's model {unknown_family(model.config)}; {way_out}"
            yield Problem(f"student.{key}", message)


def _layer_problems(copied: Sequence[Student], assistants: bool, model: Any) -> Iterator[Problem]:
    reason, total = _why_not(lambda: layer_list(model)), model.config.num_hidden_layers
    if reason and any((student.layers or total) < total for student in copied):
        way_out = "leave it out, or set `student.initial: scratch`"
        yield Problem("student.layers", f"{reason}; {way_out}")
    if reason and assistants:
        message = f"progressive copies its assistants from the teacher, but {reason}"
        yield Problem("regime.name", f"{message}; choose another regime")


def _cut_problems(config: SweepConfig, model: Any) -> Iterator[Problem]:
    for path, method in drawable_pruning(config.space):
        reason = _why_not(partial(method.check_built, model))
        if reason:
            yield Problem(
                dotted(path, "method"),
                f"{method.method} cannot cut the teacher's layers: {reason}; choose a method that "
                "masks single weights, or set `student.initial: scratch`",
            )


def _why_not(check: Callable[[], object]) -> str:
    """Returns what a check says of a model that cannot do what is asked; or nothing."""
    try:
        check()
    except ValueError as error:
        return str(error)
    return ""


def _is_copied(student: Student) -> bool:
    return student.initial == "teacher_layers"


def _not_recomputed(section: str, model: Any) -> Problem:
    message = f"{type(model).__name__} cannot compute its layers again; leave it at false"
    return Problem(f"{section}.gradient_checkpointing", message)
