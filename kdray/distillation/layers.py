"""What the methods that compare layers have in common."""

from pydantic import Field

from kdray.distillation.base import Match, Shape, Teaching
from kdray.distillation.layer_mapping import LayerMapping, mapped_layers


class LayerTeaching(Teaching):
    """A method that compares mapped layers of student and teacher."""

    layer_mapping: LayerMapping = Field(
        "uniform", description="uniform, last, or {teacher layer: student layer}, from 1."
    )

    def match(self, student: Shape, teacher: Shape) -> Match:
        """Returns the mapped layers, without projections."""
        return Match(mapped_layers(self.layer_mapping, student.layers, teacher.layers))
