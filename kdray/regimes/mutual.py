"""Students of one shape teach each other; there is no teacher."""

from collections.abc import Sequence
from typing import Any

import torch

from kdray.data.batches import Batch
from kdray.distil_stage import distil
from kdray.distillation.base import Shape
from kdray.distillation.objective import Teach
from kdray.distillation.regimes import Mutual
from kdray.models.outputs import Needs, Outputs, forward
from kdray.prune_stage import begin_student, prune
from kdray.pruning.base import Prunable
from kdray.staff import Setting, Staff, TaughtBy
from kdray.training.randomness import seed_everything


def run(student: Prunable, setting: Setting) -> Prunable:
    """Returns the best of the students on validation."""
    return distil([student, *_others(setting)], setting, _each_other)


def _others(setting: Setting) -> list[Prunable]:
    """Returns the other students, each from a seed of its own, pruned as the first is."""
    config, sweep = setting.config, setting.sweep
    assert isinstance(config.regime, Mutual)
    others = []
    for number in range(1, config.regime.students):
        seed_everything(config.training.seed + number)
        others.append(prune(begin_student(config, sweep), config))
    seed_everything(config.training.seed)
    return others


def _each_other(students: Sequence[Prunable]) -> Staff:
    models = [student.model for student in students]
    return Staff([_taught_by([peer for peer in models if peer is not own]) for own in models])


def _taught_by(peers: Sequence[Any]) -> TaughtBy:
    def lessons(needs: Needs) -> Teach:
        def teach(batch: Batch, length: int) -> tuple[Outputs, ...]:
            # In the precision and with the dropout of the step, as the paper has it.
            with torch.no_grad():
                return tuple(forward(peer, batch.inputs, needs) for peer in peers)

        return teach

    return TaughtBy(Shape.of(peers[0].config), lessons)
