"""Which student layer learns from which teacher layer. Layers count from 1; 0 is the embedding."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from kdray.models.building import spaced

Layer = Annotated[int, Field(ge=1)]
LayerMapping = Literal["uniform", "last"] | Annotated[dict[Layer, Layer], Field(min_length=1)]


def mapped_layers(mapping: LayerMapping, student: int, teacher: int) -> dict[int, int]:
    """Returns the teacher layer of each mapped student layer.

    `uniform`: student layer i of n learns from ⌈i·m/n⌉, so 6 of 12 learn from 2, 4, …, 12.
    `last`: the student's layers learn from the teacher's last ones. Explicit: {teacher: student}.

    Args:
        mapping: One of the three.
        student: Layers of the student, n.
        teacher: Layers of the teacher, m.

    Raises:
        ValueError: If a layer is not there, a student layer has two teachers, or the student has
            more layers than the teacher.
    """
    if isinstance(mapping, Mapping):
        return _explicit(mapping, student, teacher)
    if student > teacher:
        raise ValueError(
            f"layer_mapping {mapping!r} needs a student with at most the teacher's {teacher} "
            f"layers, but it has {student}; give {{teacher layer: student layer}}"
        )
    if mapping == "last":
        return {layer: teacher - student + layer for layer in range(1, student + 1)}
    return dict(zip(range(1, student + 1), spaced(student, teacher), strict=True))


def _explicit(mapping: Mapping[int, int], student: int, teacher: int) -> dict[int, int]:
    for from_teacher, to_student in mapping.items():
        if from_teacher > teacher or to_student > student:
            raise ValueError(
                f"layer_mapping {{{from_teacher}: {to_student}}} must lie within {teacher} teacher "
                f"and {student} student layers"
            )
    if len(set(mapping.values())) < len(mapping):
        raise ValueError(
            f"layer_mapping {dict(mapping)} must give each student layer one teacher layer"
        )
    return {to_student: from_teacher for from_teacher, to_student in mapping.items()}
