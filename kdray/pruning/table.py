"""The table of pruning methods. A new one is one file and one line here."""

from kdray.pruning.base import PruningMethod
from kdray.pruning.ffn import FeedForward
from kdray.pruning.gradient import Gradient
from kdray.pruning.heads import Heads
from kdray.pruning.layers import Layers
from kdray.pruning.magnitude import Magnitude
from kdray.pruning.n_m import NM
from kdray.pruning.none import NoPruning
from kdray.pruning.random import Random
from kdray.pruning.vocabulary import Vocabulary
from kdray.pruning.wanda import Wanda
from kdray.pruning.width import Width

PRUNING: dict[str, type[PruningMethod]] = {
    "none": NoPruning,
    "magnitude": Magnitude,
    "random": Random,
    "gradient": Gradient,
    "wanda": Wanda,
    "n_m": NM,
    "width": Width,
    "heads": Heads,
    "ffn": FeedForward,
    "layers": Layers,
    "vocabulary": Vocabulary,
}
