"""The table of all figures, in the order of the report. A new one is one file and one line here.

The front, with which the report opens, is not among them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from kdray.reporting.charts.base import Chart, Read
from kdray.reporting.charts.effects import effect_charts
from kdray.reporting.charts.groups import method_charts, soft_and_hard_charts
from kdray.reporting.charts.hypervolume import hypervolume_charts
from kdray.reporting.charts.importance import importance_charts
from kdray.reporting.charts.label_scores import label_charts
from kdray.reporting.charts.reliability import reliability_charts
from kdray.reporting.charts.soft_targets import soft_target_charts
from kdray.reporting.charts.training import training_charts
from kdray.reporting.students import names

# Each returns its figures of some sweeps, the first of which is the report's own; none where there
# is nothing to see, as without a parameter that is searched.
Draw = Callable[[Sequence[Read]], Sequence[Chart]]


def of_first(draw: Callable[[Read], Sequence[Chart]]) -> Draw:
    """Returns what draws the figures of one sweep for a report of several: those of the first.

    Their titles then say whose they are.
    """

    def drawn(sweeps: Sequence[Read]) -> Sequence[Chart]:
        charts = draw(sweeps[0])
        if len(sweeps) == 1:
            return charts
        name = names(sweeps)[0]
        return [replace(chart, title=f"{chart.title}: {name}") for chart in charts]

    return drawn


# By the heading that they stand under.
CHARTS: Mapping[str, Sequence[Draw]] = {
    "The search": (hypervolume_charts,),
    "What mattered": (
        of_first(importance_charts),
        of_first(effect_charts),
        of_first(method_charts),
        of_first(soft_and_hard_charts),
    ),
    "How students learnt": (of_first(training_charts),),
    "What students know": (
        of_first(label_charts),
        of_first(reliability_charts),
        of_first(soft_target_charts),
    ),
}


def charts_of(sweeps: Sequence[Read]) -> dict[str, list[Chart]]:
    """Returns every figure of a report by its heading; a heading without figures is left out."""
    found = {
        heading: [chart for draw in draws for chart in draw(sweeps)]
        for heading, draws in CHARTS.items()
    }
    return {heading: charts for heading, charts in found.items() if charts}
