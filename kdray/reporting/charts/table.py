"""The table of all figures, in the order of the report. A new one is one file and one line here.

The front, with which the report opens, is not among them.
"""

from collections.abc import Callable, Mapping, Sequence

from kdray.reporting.charts.base import Chart, Read
from kdray.reporting.charts.hypervolume import hypervolume_charts

# Each returns its figures of some sweeps, the first of which is the report's own; none where there
# is nothing to see, as without a parameter that is searched.
Draw = Callable[[Sequence[Read]], Sequence[Chart]]

# By the heading that they stand under.
CHARTS: Mapping[str, Sequence[Draw]] = {
    "The search": (hypervolume_charts,),
    "What mattered": (),
    "How students learnt": (),
    "What students know": (),
}


def charts_of(sweeps: Sequence[Read]) -> dict[str, list[Chart]]:
    """Returns every figure of a report by its heading; a heading without figures is left out."""
    found = {
        heading: [chart for draw in draws for chart in draw(sweeps)]
        for heading, draws in CHARTS.items()
    }
    return {heading: charts for heading, charts in found.items() if charts}
