"""Words on the x axis of a figure, and bars that lie because their words are long."""

from kdray.reporting.charts.base import Chart

# Letters that fit under a figure side by side.
_FITTING = 60


def categories(chart: Chart) -> list[str]:
    """Returns the words of the x axis in the order of their appearance; none if it has numbers."""
    values = [value for one in chart.series for value in one.x]
    if not any(isinstance(value, str) for value in values):
        return []
    return list(dict.fromkeys(map(str, values)))


def is_lying(chart: Chart) -> bool:
    """Tells whether a figure of bars is turned, so that long words are read along its left side."""
    bars = all(one.kind == "bars" for one in chart.series)
    return bars and sum(map(len, categories(chart))) > _FITTING


def counts(chart: Chart) -> list[float]:
    """Returns the values of the x axis if all are whole numbers, as epochs are; else none."""
    values = [value for one in chart.series for value in one.x if not isinstance(value, str)]
    return values if all(float(value).is_integer() for value in values) else []
