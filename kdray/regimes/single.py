"""The sweep's teacher teaches the student."""

from kdray.distil_stage import distil
from kdray.preparation import PreparedSweep
from kdray.pruning.base import Prunable
from kdray.staff import Appoint, Setting, by_model


def run(student: Prunable, setting: Setting) -> Prunable:
    """Returns the student that the sweep's teacher has taught."""
    return distil([student], setting, by_the_teacher(setting.sweep))


def by_the_teacher(sweep: PreparedSweep) -> Appoint:
    """Lets the sweep's teacher teach, whose outputs are there already."""
    return by_model(sweep.teacher, lambda needs: sweep.outputs, sweep.splits["train"])
