"""The table of how regimes run. A new one is one file and one line here, and its options."""

from collections.abc import Callable

from kdray.distillation.regimes import BornAgain, Mutual, Online, Progressive, Regime, Single
from kdray.pruning.base import Prunable
from kdray.regimes import born_again, mutual, online, progressive, single
from kdray.staff import Setting

# From the student before its training to the student after it.
Run = Callable[[Prunable, Setting], Prunable]

RUNS: dict[type[Regime], Run] = {
    Single: single.run,
    Progressive: progressive.run,
    BornAgain: born_again.run,
    Mutual: mutual.run,
    Online: online.run,
}


def teach(student: Prunable, setting: Setting) -> Prunable:
    """Returns the student, trained in the regime of the trial, with the weights of its best epoch.

    Args:
        student: Pruned as it is to be before its training.
        setting: What it is trained with.
    """
    return RUNS[type(setting.config.regime)](student, setting)
