"""The sweep's teacher teaches the student."""

from functools import cache

from kdray.data.dataset import learnt_from
from kdray.distil_stage import distil
from kdray.distillation.base import Shape
from kdray.models.building import config_of
from kdray.models.outputs import NOTHING, Needs, best_device
from kdray.preparation import PreparedSweep
from kdray.pruning.base import Prunable
from kdray.staff import Appoint, Setting, by_model, taught_alike
from kdray.teacher.lessons import EnsembleLessons, Lessons


def run(student: Prunable, setting: Setting) -> Prunable:
    """Returns the student that the sweep's teacher has taught."""
    return distil([student], setting, by_the_teacher(setting.sweep))


def by_the_teacher(sweep: PreparedSweep) -> Appoint:
    """Lets the sweep's teacher teach, or all of an ensemble; what they say is there already."""
    if not sweep.others:
        return by_model(sweep.teacher, lambda needs: sweep.outputs, learnt_from(sweep.splits))

    @cache  # As in `by_model`: a bank that is not kept is computed once a training.
    def lessons(needs: Needs) -> EnsembleLessons:
        device, train = best_device(), learnt_from(sweep.splits)
        first = Lessons(sweep.outputs, sweep.teacher, needs, train, device)
        others = [
            Lessons(one.outputs, one.teacher, NOTHING, learnt_from(one.splits), device)
            for one in sweep.others
        ]
        return EnsembleLessons([first, *others], sweep.weights)

    return taught_alike(Shape.of(config_of(sweep.teacher)), lessons)
