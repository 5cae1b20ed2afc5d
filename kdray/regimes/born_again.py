"""The student of each generation teaches the next one, which starts as it did."""

import copy
from dataclasses import replace

from kdray.data.dataset import learnt_from
from kdray.distillation.regimes import BornAgain
from kdray.pruning.base import Prunable
from kdray.regimes.in_turn import Generation, run_in_turn
from kdray.staff import Setting


def run(student: Prunable, setting: Setting) -> Prunable:
    """Returns the student of the last generation."""
    regime = setting.config.regime
    assert isinstance(regime, BornAgain)

    def born() -> Prunable:
        return replace(student, model=copy.deepcopy(student.model))

    one = Generation(born, learnt_from(student.splits), setting.config)
    return run_in_turn([one] * regime.generations, setting)
