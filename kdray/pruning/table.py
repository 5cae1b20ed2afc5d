"""The table of pruning methods. A new one is one file and one line here."""

from kdray.pruning.base import PruningMethod
from kdray.pruning.magnitude import Magnitude
from kdray.pruning.none import NoPruning
from kdray.pruning.random import Random

PRUNING: dict[str, type[PruningMethod]] = {
    "none": NoPruning,
    "magnitude": Magnitude,
    "random": Random,
}
