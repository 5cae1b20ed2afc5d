"""What the methods that compare layers have in common."""

from collections.abc import Iterable

from pydantic import Field
from torch import Tensor, nn

from kdray.distillation.base import Match, Shape, SoftTeaching
from kdray.distillation.layer_mapping import LayerMapping, mapped_layers


class LayerTeaching(SoftTeaching):
    """A method that compares mapped layers of student and teacher."""

    layer_mapping: LayerMapping = Field(
        "uniform", description="uniform, last, or {teacher layer: student layer}, from 1."
    )

    def match(self, student: Shape, teacher: Shape) -> Match:
        """Returns the mapped layers, without projections."""
        return Match(mapped_layers(self.layer_mapping, student.layers, teacher.layers))


def layer_projections(layers: Iterable[int], student: Shape, teacher: Shape) -> nn.ModuleDict:
    """Returns a map from the student's width to the teacher's for each of the teacher's layers.

    There is none where the widths agree.
    """
    if student.width == teacher.width:
        return nn.ModuleDict()
    maps = {str(layer): nn.Linear(student.width, teacher.width, bias=False) for layer in layers}
    return nn.ModuleDict(maps)


def projected(states: Tensor, match: Match, layer: int) -> Tensor:
    """Returns states of a layer of the student, (..., H_s), as wide as the teacher's."""
    if not match.projections:
        return states
    found: Tensor = match.projections[str(match.pairs[layer])](states)
    return found
