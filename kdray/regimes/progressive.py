"""The teacher teaches an assistant, which teaches a smaller one, and the last the student."""

from dataclasses import replace
from functools import partial

from kdray.data.dataset import learnt_from
from kdray.distillation.regimes import Progressive
from kdray.models.building import keep_layers, thaw
from kdray.preparation import PreparedSweep
from kdray.prune_stage import unpruned
from kdray.pruning.base import Prunable
from kdray.regimes.in_turn import Generation, run_in_turn
from kdray.staff import Setting


def run(student: Prunable, setting: Setting) -> Prunable:
    """Returns the student that the last assistant has taught."""
    regime, sweep = setting.config.regime, setting.sweep
    assert isinstance(regime, Progressive)
    whole, train_set = replace(setting.config, pruning=()), learnt_from(sweep.splits)
    assistants = [
        Generation(partial(_assistant, sweep, one.layers), train_set, whole)
        for one in regime.assistants
    ]
    last = Generation(lambda: student, learnt_from(student.splits), setting.config)
    return run_in_turn([*assistants, last], setting)


def _assistant(sweep: PreparedSweep, layers: int) -> Prunable:
    return unpruned(keep_layers(thaw(sweep.teacher), layers), sweep)
