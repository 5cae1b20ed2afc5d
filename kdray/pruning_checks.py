"""Checking `pruning` as a whole: the order of its methods, its stages, and how far it goes."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kdray.config.sections import Student
from kdray.config.validation import dotted
from kdray.distillation.base import DistillationMethod, Shape
from kdray.distillation.regimes import Regime
from kdray.errors import ConfigError, Problem
from kdray.models.outputs import Needs
from kdray.pruning.base import PruningMethod, RatioPruning
from kdray.schema import checked_sections, pruning_list
from kdray.space_checks import (
    COPIED,
    UNKNOWN,
    Shapes,
    matched,
    sample_sections,
    student_shape,
)

# The literature sees quality collapse above it.
BOLD = 0.8


def pruning_problems(space: Mapping[str, Any]) -> list[Problem]:
    """Returns what is wrong with the pruning that can be drawn, where each method by itself is not.

    Args:
        space: The searchable sections, their domains parsed and without problems.
    """
    valid = _valid(space)
    found = _lists(valid)
    problems = []
    for paths, methods in found:
        problems += _order_problems(paths, methods)
    fewest = min((checked["training"].epochs for _, checked in valid), default=1)
    problems += [
        Problem(
            dotted(path, "schedule.stages"),
            f"must be at most training.epochs, {fewest} where that is least, because each stage "
            f"trains for an epoch, but got {method.stages}",
        )
        for paths, methods in found
        for path, method in zip(paths, methods, strict=True)
        if method.stages > fewest
    ]
    return list(dict.fromkeys(problems))


def cautions(space: Mapping[str, Any]) -> list[str]:
    """Returns a line for each ratio that can be drawn and is higher than what tends to work.

    The ratio of `vocabulary` is of another kind: it counts tokens, of which the rarest go, and
    their words are read in smaller pieces; what is known of weights says nothing of it.
    """
    highest: dict[str, float] = {}
    for paths, methods in _lists(_valid(space)):
        for path, method in zip(paths, methods, strict=True):
            if isinstance(method, RatioPruning) and method.ratio > BOLD:
                key = dotted(path, "ratio")
                highest[key] = max(highest.get(key, 0.0), method.ratio)
    return [
        f"{key}: up to {ratio:g} may be drawn; quality often collapses above {BOLD:g}"
        for key, ratio in highest.items()
    ]


def drawable_needs(space: Mapping[str, Any], teacher: Shape, starts: Shapes = UNKNOWN) -> Needs:
    """Returns what any trial that can be drawn reads of the teacher besides its logits.

    A student that loses layers to pruning is matched by what is left, and by every number of layers
    that it has on the way there.

    Args:
        space: The searchable sections, their domains parsed and without problems.
        teacher: The teacher's shape.
        starts: The shapes of what students start from besides it.

    Raises:
        ConfigError: If the layers of a student cannot be matched after its pruning.
    """
    sampled = _valid(space)
    pruned = [methods for _, methods in _lists(sampled)]
    valid = [checked for _, checked in sampled]
    regimes = list({repr(one["regime"]): one["regime"] for one in valid}.values())
    needs, seen = Needs(), set[str]()
    for sections in valid:
        method, student = sections["distillation"], sections["student"]
        whole = student_shape(student, teacher, starts) or teacher
        fewest = min(layers_left(methods, whole.layers) for methods in pruned)
        for layers in range(fewest, whole.layers + 1):
            pupil = replace(whole, layers=layers)
            case = repr((method, pupil))
            if case not in seen:
                seen.add(case)
                for learner in _taught(regimes, pupil, teacher):
                    needs |= _needs(method, learner, teacher)
    return needs


def _taught(regimes: Iterable[Regime], pupil: Shape, teacher: Shape) -> list[Shape]:
    """Returns the shapes of those whom the sweep's teacher teaches itself."""
    return [
        learner
        for regime in regimes
        for learner, its in regime.lessons(pupil, teacher, pupil)
        if its is teacher
    ]


def _needs(method: DistillationMethod, student: Shape, teacher: Shape) -> Needs:
    try:
        match = matched(method, student, teacher)
    except ValueError as error:
        message = f"{error}; pruning may leave a student of {student.layers} layers"
        raise ConfigError([Problem("distillation.layer_mapping", message)]) from error
    return method.needs(frozenset(match.pairs.values()))


def reach_problems(
    space: Mapping[str, Any], teacher: Any, starts: Mapping[str, Any] | None = None
) -> list[Problem]:
    """Returns the ratios that cannot be reached on a student that may be drawn.

    Args:
        space: The searchable sections, their domains parsed and without problems.
        teacher: The teacher's transformers configuration.
        starts: Those of what students start from besides it, by folder or hub id.
    """
    students, problems = originals(space, teacher, starts or {}), []
    for path, method in drawable_pruning(space):
        for original in students:
            try:
                method.check(original)
            except ValueError as error:
                problems.append(Problem(dotted(path, "ratio"), str(error)))
    return list(dict.fromkeys(problems))


def originals(space: Mapping[str, Any], teacher: Any, starts: Mapping[str, Any]) -> list[Any]:
    """Returns the transformers configuration of each student that may be drawn, before pruning.

    Args:
        space: The searchable sections, their domains parsed and without problems.
        teacher: The teacher's.
        starts: Those of what students start from besides it, by folder or hub id.
    """
    known = {COPIED: teacher, **starts}
    drawn = {repr(found["student"]): found["student"] for _, found in _valid(space)}
    students = [one for one in drawn.values() if one.architecture or one.initial in known]
    return [_original(student, known) for student in students]


def _original(student: Student, known: Mapping[str, Any]) -> Any:
    from transformers import BertConfig

    made = student.architecture
    if made is not None:
        return BertConfig(
            num_hidden_layers=made.layers,
            hidden_size=made.hidden_size,
            num_attention_heads=made.heads,
            intermediate_size=made.intermediate_size,
        )
    config = copy.deepcopy(known[student.initial])
    config.num_hidden_layers = student.layers or config.num_hidden_layers
    return config


def layers_left(methods: Iterable[PruningMethod], layers: int) -> int:
    """Returns how many layers a student has after all of its pruning."""
    for method in methods:
        layers = method.layers_left(layers)
    return layers


def drawable_pruning(space: Mapping[str, Any]) -> list[tuple[str, PruningMethod]]:
    """Returns every pruning method that can be drawn, each with its dotted key.

    Args:
        space: The searchable sections, their domains parsed and without problems.
    """
    lists = _lists(_valid(space))
    return [pair for paths, methods in lists for pair in zip(paths, methods, strict=True)]


def valid_sections(space: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns every sample of the searchable sections, checked, that has no problem."""
    return [checked for _, checked in _valid(space)]


def _valid(space: Mapping[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Returns every sample that has no problem, as it is drawn and checked."""
    found = [(sections, *checked_sections(sections)) for sections in sample_sections(space)]
    return [(sections, checked) for sections, checked, problems in found if not problems]


def _lists(valid: Iterable[tuple[Any, Any]]) -> list[tuple[list[str], tuple[PruningMethod, ...]]]:
    """Returns every list of methods of these samples once, each with its dotted keys."""
    found = {
        repr(checked["pruning"]): (
            [path for path, _ in pruning_list(sections["pruning"])],
            checked["pruning"],
        )
        for sections, checked in valid
    }
    return list(found.values())


def _order_problems(paths: Sequence[str], methods: Sequence[PruningMethod]) -> list[Problem]:
    masking = [index for index, method in enumerate(methods) if method.masks_weights]
    if not masking:
        return []
    problems = []
    for index, (path, method) in enumerate(zip(paths, methods, strict=True)):
        if not method.cuts:
            continue
        first = methods[masking[0]].method
        if index > masking[0]:
            rule = f"cuts whole units and must stand before {first}, which masks what is left"
            problems.append(Problem(dotted(path, "method"), f"{method.method} {rule}"))
        elif method.stages > 1:
            rule = f"would cut in stages what {first} has masked by then; take one_shot"
            problems.append(Problem(dotted(path, "schedule"), f"{method.method} {rule}"))
    return problems
