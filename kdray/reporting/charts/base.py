"""What a figure of the report is: data and words, whatever draws them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from kdray.reporting.headline import Row
from kdray.results.folder import SweepFolder

MOST_WORDS, MOST_NAMES = 8, 5
Kind = Literal["points", "line", "steps", "bars"]
# What a series shows decides its colour and mark, the same in all figures; `nth` ones differ, as do
# those of a `sweep` among several, on whose marks the front is a `ring`.
Role = Literal[
    "front", "ring", "other", "stopped", "infeasible", "teacher", "baseline", "sweep", "nth"
]


@dataclass(frozen=True)
class Read:
    """What is read of a sweep to draw it.

    Attributes:
        folder: Its folder; epochs and predictions are read where a figure needs them.
        rows: Rows of `trials.csv`.
        summary: What is in `summary.json`.
        config: The search space, as in `sweep.yaml`.
    """

    folder: SweepFolder
    rows: Sequence[Row]
    summary: Mapping[str, Any]
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Series:
    """Values that belong together.

    Attributes:
        name: As in the legend; empty for none.
        x: Numbers, or words for categories.
        y: As many numbers.
        kind: How they are drawn.
        role: What they show.
        error: Half the width of an interval about each y.
        hover: What is said of each when it is pointed at.
        ids: The trial of each, if each is one.
    """

    name: str
    x: Sequence[float] | Sequence[str]
    y: Sequence[float]
    kind: Kind = "points"
    role: Role = "nth"
    error: Sequence[float] | None = None
    hover: Sequence[str] | None = None
    ids: Sequence[str] | None = None


@dataclass(frozen=True)
class Chart:
    """A figure.

    Attributes:
        name: A word: of its element in the page and of its PNG.
        title: What it shows, in a few words.
        says: What is to be seen in it, in a sentence or two.
        x: What the x axis shows, with its unit.
        y: What the y axis shows, with its unit.
        series: What is drawn; nothing where there is nothing to see, but something to say of it.
        lines: Heights of horizontal lines, by what they are: the teacher's, a baseline's.
        log_x: Whether the x axis is logarithmic.
    """

    name: str
    title: str
    says: str
    x: str
    y: str
    series: Sequence[Series]
    lines: Mapping[str, float] = field(default_factory=dict)
    log_x: bool = False

    @property
    def is_crowded(self) -> bool:
        """Whether so many words stand under it or in its legend that it needs more room."""
        under = {at for one in self.series for at in one.x if isinstance(at, str)}
        legend = [*filter(None, (one.name for one in self.series)), *self.lines]
        return len(under) > MOST_WORDS or len(legend) > MOST_NAMES
