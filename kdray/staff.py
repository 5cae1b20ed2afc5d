"""Who teaches the students of a trial, and what they are trained with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from kdray.data.dataset import Dataset
from kdray.distillation.base import Shape
from kdray.distillation.objective import Teach
from kdray.models.building import ModelState, config_of
from kdray.models.outputs import Needs, best_device
from kdray.preparation import PreparedSweep
from kdray.pruning.base import Prunable
from kdray.schema import TrialConfig
from kdray.teacher.lessons import Lessons
from kdray.teacher.outputs import TeacherOutputs
from kdray.training.course import Beside, Course
from kdray.training.stepper import BeforeStep, no_more


@dataclass(frozen=True)
class Setting:
    """What all training of a trial is done with.

    Attributes:
        config: Of the trial.
        sweep: What all trials share.
        course: How far the trial has come.
    """

    config: TrialConfig
    sweep: PreparedSweep
    course: Course


@dataclass(frozen=True)
class TaughtBy:
    """Who teaches one student.

    Attributes:
        shape: The teacher's; of several teachers, that of each.
        lessons: From what is read of the teacher to what it says of each batch.
    """

    shape: Shape
    lessons: Callable[[Needs], Teach]


@dataclass(frozen=True)
class Staff:
    """Who teaches students that train side by side.

    Attributes:
        teachers: Of each student.
        before_step: Called before each step of each student.
        beside: What of the teachers changes with the steps, by name.
    """

    teachers: Sequence[TaughtBy]
    before_step: BeforeStep = no_more
    beside: Mapping[str, Beside] = field(default_factory=dict)


# Finds the teachers of students that begin to train, on their device.
Appoint = Callable[[Sequence[Prunable]], Staff]


def by_model(
    teacher: ModelState, outputs: Callable[[Needs], TeacherOutputs], dataset: Dataset
) -> Appoint:
    """Returns who lets a model teach that has been trained.

    Args:
        teacher: The model.
        outputs: What it says of the training set, by what is read of it.
        dataset: The training set as its tokenizer has it.
    """

    @cache  # A bank that is not kept is computed once a training, whatever its stages.
    def lessons(needs: Needs) -> Lessons:
        return Lessons(outputs(needs), teacher, needs, dataset, best_device())

    return taught_alike(Shape.of(config_of(teacher)), lessons)


def taught_alike(shape: Shape, lessons: Callable[[Needs], Teach]) -> Appoint:
    """Returns who lets one teacher teach every student; see `TaughtBy`."""
    return lambda students: Staff([TaughtBy(shape, lessons) for _ in students])
