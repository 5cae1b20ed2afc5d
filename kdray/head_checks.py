"""Checking methods that compare attention with students that lose heads to pruning."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from kdray.distillation.base import DistillationMethod, Shape
from kdray.errors import Problem
from kdray.pruning.base import PruningMethod
from kdray.pruning_checks import originals, valid_sections
from kdray.space_checks import matched

OPTION = "relation_heads"


def head_problems(
    space: Mapping[str, Any], teacher: Any, starts: Mapping[str, Any]
) -> list[Problem]:
    """Returns the methods that cannot compare a student with every number of heads left to it.

    Whatever can be drawn can meet. All else about these sections is known to fit.

    Args:
        space: The searchable sections, their domains parsed and without problems.
        teacher: The teacher's transformers configuration.
        starts: Those of what students start from besides it, by folder or hub id.
    """
    valid = valid_sections(space)
    methods = {repr(one["distillation"]): one["distillation"] for one in valid}
    cuts = {repr(one["pruning"]): one["pruning"] for one in valid}
    students, its = originals(space, teacher, starts), Shape.of(teacher)
    cases = product(students, cuts.values(), methods.values())
    return list(dict.fromkeys(p for case in cases for p in _misfits(*case, its)))


def _misfits(
    original: Any, cuts: Sequence[PruningMethod], method: DistillationMethod, teacher: Shape
) -> Iterator[Problem]:
    if OPTION not in type(method).model_fields:
        return
    whole, names = original.num_attention_heads, " and ".join(cut.method for cut in cuts)
    size = original.hidden_size // whole
    for heads in _heads_left(original, cuts):
        width = replace(Shape.of(original), heads=heads, attention_width=heads * size)
        try:
            matched(method, width, teacher)
        except ValueError as error:
            rule = str(error).removeprefix(f"{OPTION} ")
            message = f"{rule}, or auto; {names} may leave a student {heads} of its {whole} heads"
            yield Problem(f"distillation.{OPTION}", message)
            return


def _heads_left(original: Any, cuts: Sequence[PruningMethod]) -> list[int]:
    """Returns how many heads the last layer may have left, if any may go, the fewest first."""
    whole = original.num_attention_heads
    found = {whole}
    for cut in cuts:
        found = {min(pair) for pair in product(found, cut.heads_left(original))}
    return sorted(found - {whole})
