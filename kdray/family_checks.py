"""Checking what the family of the teacher's model cannot do, once the model is there."""

from collections.abc import Iterator
from typing import Any

from kdray.config.sections import Student
from kdray.distillation.regimes import Progressive
from kdray.errors import ConfigError, Problem
from kdray.models.classifier import is_known, unknown_family
from kdray.models.recomputing import can_recompute
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
    if not is_known(model.config):
        wanted = {"pooling": (None, "cls"), "head": ("linear",)}
        for key, usual in wanted.items():
            if any(getattr(student, key) not in usual for student in copied):
                way_out = f"leave it at {usual[-1]}"
                message = f"the teacher's model {unknown_family(model.config)}; {way_out}"
                yield Problem(f"student.{key}", message)
    again = any(found["training"].gradient_checkpointing for found in drawable)
    assistants = any(isinstance(found["regime"], Progressive) for found in drawable)
    if (copied or assistants) and again and not can_recompute(model):
        yield _not_recomputed("training", model)


def _is_copied(student: Student) -> bool:
    return student.initial == "teacher_layers"


def _not_recomputed(section: str, model: Any) -> Problem:
    message = f"{type(model).__name__} cannot compute its layers again; leave it at false"
    return Problem(f"{section}.gradient_checkpointing", message)
