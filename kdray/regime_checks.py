"""Checking `regime` together with what it meets: methods, pruning, and the shapes of all learners.

Sections are drawn independently, so whatever can be drawn can meet.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, product
from typing import Any

from kdray.config.validation import dotted
from kdray.distillation.base import DistillationMethod, Shape
from kdray.distillation.regimes import Regime
from kdray.errors import Problem
from kdray.pruning.base import PruningMethod
from kdray.pruning_checks import layers_left, valid_sections
from kdray.space_checks import UNKNOWN, Shapes, matched, student_shape

WHERE = "regime.name"


def regime_problems(
    space: Mapping[str, Any], teacher: Shape | None, starts: Shapes = UNKNOWN
) -> list[Problem]:
    """Returns what is wrong with the regimes that can be drawn, where all else by itself is not.

    Args:
        space: The searchable sections, their domains parsed and without problems.
        teacher: The teacher's shape, if it is known.
        starts: The shapes of what students start from besides it, as far as they are known.
    """
    valid = valid_sections(space)
    kinds = ("student", "pruning", "distillation", "regime")
    found = {kind: list({repr(one[kind]): one[kind] for one in valid}.values()) for kind in kinds}
    regimes = [regime for regime in found["regime"] if regime.name != "single"]
    problems: list[Problem] = []
    for regime in regimes:
        problems += _refused(regime, found["distillation"])
        problems += [p for pruning in found["pruning"] for p in _staged(regime, pruning)]
    if teacher is not None and not problems:
        known = [student_shape(student, teacher, starts) for student in found["student"]]
        shapes = {shape: None for shape in known if shape is not None}
        pupils = {p: None for s, cut in product(shapes, found["pruning"]) for p in _stages(s, cut)}
        for regime, method in product(regimes, found["distillation"]):
            cases = ((pupil, teacher, former) for pupil, former in pupils)
            misfits = (p for shapes in cases for p in _misfits(regime, method, shapes))
            problems += islice(misfits, 1)
    return list(dict.fromkeys(problems))


def _refused(regime: Regime, methods: Sequence[DistillationMethod]) -> Iterator[Problem]:
    for method in methods:
        reason = regime.refusal(method)
        if reason:
            yield Problem(WHERE, f"{regime.name} cannot teach by {method.method}, which {reason}")


def _staged(regime: Regime, pruning: Sequence[PruningMethod]) -> Iterator[Problem]:
    for index, method in enumerate(pruning):
        if method.cuts and method.stages > 1 and not regime.prunes_in_stages:
            where = dotted("pruning", index) if len(pruning) > 1 else "pruning"
            message = (
                f"{method.method} would cut the students of {regime.name} apart between epochs; "
                "take one_shot"
            )
            yield Problem(dotted(where, "schedule"), message)


def _stages(student: Shape, pruning: Sequence[PruningMethod]) -> list[tuple[Shape, Shape]]:
    """Returns a student's shapes while it trains, each with that at its end."""
    fewest = layers_left(pruning, student.layers)
    whole = student.layers
    gradual = any(one.stages > 1 and one.layers_left(whole) < whole for one in pruning)
    former = replace(student, layers=fewest)
    most = whole if gradual else fewest
    return [(replace(student, layers=layers), former) for layers in range(fewest, most + 1)]


def _misfits(
    regime: Regime, method: DistillationMethod, shapes: tuple[Shape, Shape, Shape]
) -> list[Problem]:
    try:
        lessons = regime.lessons(*shapes)
    except ValueError as error:
        return [Problem("regime.assistants", str(error))]
    try:
        for learner, teacher in lessons:
            matched(method, learner, teacher)
    except ValueError as error:
        message = f"{regime.name} cannot teach by {method.method}: {error}"
        return [Problem(WHERE, message)]
    return []
