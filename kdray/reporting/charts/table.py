"""The table of all figures, in the order of the report. A new one is one file and one line here."""

from collections.abc import Callable, Sequence

from kdray.reporting.charts.base import Chart, Read

# Each returns its figures of some sweeps, the first of which is the report's own; none where there
# is nothing to see, as without a parameter that is searched.
CHARTS: Sequence[Callable[[Sequence[Read]], Sequence[Chart]]] = ()


def charts_of(sweeps: Sequence[Read]) -> list[Chart]:
    """Returns every figure of the report of one sweep, or of several on one front."""
    return [chart for draw in CHARTS for chart in draw(sweeps)]
