"""Teaching regimes: who teaches whom, whatever the method. Here are their options and their rules.

How each of them runs is in `kdray.regimes`.
"""

from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from kdray.config.validation import Section
from kdray.distillation.base import DistillationMethod, Shape, Teaching

# A learner and its teacher.
Lesson = tuple[Shape, Shape]


class Regime(Section):
    """Who teaches whom.

    Attributes:
        side_by_side: Whether the student trains beside its teacher, from which nothing can be
            computed beforehand then.
        prunes_in_stages: Whether the student may be cut between epochs.
    """

    side_by_side: ClassVar[bool] = False
    prunes_in_stages: ClassVar[bool] = True
    name: str

    @property
    def trainings(self) -> int:
        """How many trainings of `training.epochs` follow each other."""
        return 1

    def lessons(self, pupil: Shape, teacher: Shape, former: Shape) -> list[Lesson]:
        """Returns each learner with its teacher; the sweep's teacher stands as the same object.

        Args:
            pupil: The student.
            teacher: The sweep's teacher.
            former: The student as it is after its training: pruning may have taken layers.

        Raises:
            ValueError: If the regime does not fit these shapes.
        """
        return [(pupil, teacher)]

    def refusal(self, method: DistillationMethod) -> str:
        """Returns why a method cannot teach in this regime, with the way out; or nothing."""
        if not isinstance(method, Teaching):
            return "has no teacher; take it out, or set `regime: single`"
        if self.side_by_side and method.teacher_needs(frozenset({1})).bank:
            return (
                "reads a bank of the teacher's features, which change with every step here; set "
                "`distillation.negatives: 0`, or choose another method"
            )
        if self.side_by_side and method.hinting(0.0):
            return (
                "begins with hints alone, and no labels: a teacher that has learnt nothing yet has "
                "none to give; choose another method, or `regime: single`"
            )
        return ""


class Single(Regime):
    """The sweep's teacher teaches the student."""

    name: Literal["single"] = "single"

    def refusal(self, method: DistillationMethod) -> str:
        """Returns nothing: any method can."""
        return ""


class Assistant(Section):
    """A student on the way from the teacher to the student."""

    layers: int = Field(ge=1, description="Evenly spaced layers of the teacher that it starts as.")


class Progressive(Regime):
    """The teacher teaches an assistant, which teaches a smaller one, and the last the student.

    Each trains for `training.epochs` by the same method. Assistants are as wide as the teacher and
    are not pruned.

    Reference: Mirzadeh et al., "Improved Knowledge Distillation via Teacher Assistant", 2020.
    https://arxiv.org/abs/1902.03393
    """

    name: Literal["progressive"] = "progressive"
    assistants: list[Assistant] = Field(
        min_length=1, description="The first learns from the teacher; fewer and fewer layers."
    )

    @model_validator(mode="after")
    def _layers_decrease(self) -> "Progressive":
        layers = [assistant.layers for assistant in self.assistants]
        if layers != sorted(set(layers), reverse=True):
            raise ValueError(f"each assistant must have fewer layers than the one before: {layers}")
        return self

    @property
    def trainings(self) -> int:
        """The assistants and the student."""
        return len(self.assistants) + 1

    def lessons(self, pupil: Shape, teacher: Shape, former: Shape) -> list[Lesson]:
        """Returns each assistant with the one before, and the student with the last."""
        first, last = self.assistants[0].layers, self.assistants[-1].layers
        if first >= teacher.layers:
            rule = f"must have fewer layers than the teacher's {teacher.layers}"
            raise ValueError(f"{rule}, but got {first}")
        if last < pupil.layers:
            rule = f"must have at least the student's {pupil.layers} layers"
            raise ValueError(f"{rule}, but got {last}")
        assistants = [replace(teacher, layers=one.layers) for one in self.assistants]
        return list(zip([*assistants, pupil], [teacher, *assistants], strict=True))


class BornAgain(Regime):
    """The student of each generation teaches the next one, which starts as it did.

    Each trains for `training.epochs` by the same method and is pruned alike. The teacher teaches
    the first.

    Reference: Furlanello et al., "Born-Again Neural Networks", 2018.
    https://arxiv.org/abs/1805.04770
    """

    name: Literal["born_again"] = "born_again"
    generations: int = Field(3, ge=2, description="Students one after another; the last is kept.")

    @property
    def trainings(self) -> int:
        """One a generation."""
        return self.generations

    def lessons(self, pupil: Shape, teacher: Shape, former: Shape) -> list[Lesson]:
        """Returns the student with the teacher, and with the former student."""
        return [(pupil, teacher), (pupil, former)]


class Mutual(Regime):
    """Students of one shape teach each other; there is no teacher.

    Of k students, each has its own start and dropout, and
    :math:`L_i = (1 - alpha) hard + alpha mean_{j != i} soft(z_j -> z_i)`, with the mean of the
    method's own terms as well. They take each step in turn, from the predictions of the moment. The
    best on validation is the student. Copies of the teacher's layers start alike, and differ by
    their dropout only.

    Reference: Zhang et al., "Deep Mutual Learning", 2018. https://arxiv.org/abs/1706.00384
    """

    side_by_side: ClassVar[bool] = True
    prunes_in_stages: ClassVar[bool] = False
    name: Literal["mutual"] = "mutual"
    students: int = Field(2, ge=2, description="k; a trial takes k² times as long, or less.")

    def lessons(self, pupil: Shape, teacher: Shape, former: Shape) -> list[Lesson]:
        """Returns the student with one like it."""
        return [(pupil, pupil)]


class Online(Regime):
    """The student learns from the moving average of its own weights and buffers.

    After step n the average is :math:`m θ' + (1 - m) θ` with m the momentum, or n / (n + 1) while
    that is less: at first it is the mean of all weights so far, and not the start. Where pruning
    has stages, it begins anew with each.

    Reference: Tarvainen and Valpola, "Mean teachers are better role models", 2017.
    https://arxiv.org/abs/1703.01780
    """

    side_by_side: ClassVar[bool] = True
    name: Literal["online"] = "online"
    momentum: float = Field(0.999, ge=0, lt=1, description="Share of the average that stays, m.")

    def lessons(self, pupil: Shape, teacher: Shape, former: Shape) -> list[Lesson]:
        """Returns the student with one like it."""
        return [(pupil, pupil)]


REGIMES: dict[str, type[Regime]] = {
    "single": Single,
    "progressive": Progressive,
    "born_again": BornAgain,
    "mutual": Mutual,
    "online": Online,
}
