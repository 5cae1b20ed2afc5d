"""Generations: each student is trained to its end, and then teaches the next one."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch

from kdray.config.teachers import Cache
from kdray.data.dataset import Dataset
from kdray.distil_stage import distil
from kdray.models.building import ModelState, borrow, freeze
from kdray.models.outputs import Needs
from kdray.pruning.base import Prunable
from kdray.regimes.single import by_the_teacher
from kdray.schema import TrialConfig
from kdray.staff import Appoint, Setting, by_model
from kdray.teacher.keeping import Asked, Place, keep_outputs
from kdray.teacher.outputs import TeacherOutputs
from kdray.training.best import BestEpoch
from kdray.training.checkpoint import kept_generation


@dataclass(frozen=True)
class Generation:
    """One student on the way to the last.

    Attributes:
        student: Makes it as it is before its training.
        train_set: The training set as its tokenizer has it.
        config: How it is trained and pruned.
    """

    student: Callable[[], Prunable]
    train_set: Dataset
    config: TrialConfig


def run_in_turn(generations: Sequence[Generation], setting: Setting) -> Prunable:
    """Returns the student of the last generation; the sweep's teacher teaches the first.

    A generation that early stopping ends is followed by the next one all the same. A trial that was
    cut off goes on in the generation that it was in, and asks its teacher once more.
    """
    course, config = setting.course, setting.config
    begun, course.before, course.teacher = kept_generation(course)
    student = None
    for number in range(begun, len(generations)):
        if student is not None:
            course.before, course.teacher = len(course.epochs), freeze(student.model)
        course.best = BestEpoch(config.selection_metric)
        course.generation, course.reshaped = number, False
        own = replace(setting, config=generations[number].config)
        taught = generations[number - 1].train_set
        appoint = (
            by_the_teacher(setting.sweep)
            if course.teacher is None
            else by_former_student(course.teacher, taught, setting.sweep.cache)
        )
        student = distil([generations[number].student()], own, appoint)
    assert student is not None, "there is a last generation"
    return student


def by_former_student(teacher: ModelState, train_set: Dataset, options: Cache) -> Appoint:
    """Lets a former student teach: it is run over the training set once, for what is needed.

    Its outputs are kept for this trial alone, as those of the sweep's teacher are for all. What is
    in memory comes out of one budget with all trials that run side by side on this machine; on
    disk it stands in files that are gone with this process.

    Args:
        teacher: The former student.
        train_set: The training set as its tokenizer has it.
        options: The section `teacher.cache`.
    """
    place = Place(store_bytes=options.budget_mb * 1e6 / _side_by_side())

    @cache
    def outputs(needs: Needs) -> TeacherOutputs:
        return keep_outputs(Asked(borrow(teacher), train_set, needs, key=""), options, place)

    return by_model(teacher, outputs, train_set)


def _side_by_side() -> int:
    """Returns how many trials with as many threads as this one this machine's cores have room for.

    More do not run side by side, and no trial knows how many do.
    """
    return max(1, (os.cpu_count() or 1) // torch.get_num_threads())
