"""How important each parameter was for each objective."""

from collections.abc import Mapping
from typing import Any

from kdray.reporting.charts.base import Chart, Read, Series
from kdray.reporting.formats import percent
from kdray.reporting.importance import read_importance
from kdray.reporting.objectives import objective

# With less of the variance or fewer trials, what is said of parameters is little more than a guess.
HARDLY, FEW = 0.25, 30
NAMED, LARGE = 2, 0.1


def importance_charts(sweep: Read) -> list[Chart]:
    """Returns the importance of parameters, a figure an objective, or why there is none to see."""
    found = read_importance(sweep.folder) or {}
    if "reason" in found:
        title, says = "Importance of parameters", f"Nothing can be said of it: {found['reason']}."
        return [Chart("importance", title, says, "", "", [])]
    shares = found.get("importance", {})
    return [_chart(metric, shares[metric], found) for metric in shares]


def _chart(metric: str, shares: Mapping[str, float], found: Mapping[str, Any]) -> Chart:
    names = [_named(name, found) for name in shares]
    bars = [Series("", names, list(shares.values()), kind="bars")]
    return Chart(
        name=f"importance_{metric}",
        title=f"Importance for {objective(metric).label}",
        says=_says(metric, shares, found),
        x="parameter",
        y="share of the importance",
        series=bars if found["explained"][metric] else [],
    )


def _named(name: str, found: Mapping[str, Any]) -> str:
    """The parameter, with how many others always change with it."""
    others = found["drawn_together"].get(name, [])
    return f"{name} and {len(others)} with it" if others else name


def _says(metric: str, shares: Mapping[str, float], found: Mapping[str, Any]) -> str:
    label, explained, count = objective(metric).label, found["explained"][metric], found["trials"]
    if not explained:
        return (
            f"The parameters foretell nothing of {label} between {count} trials: these are too "
            "few, or chance, as of the seed, did more than any of them."
        )
    first, *rest = list(shares.items())[:NAMED]
    listed = [f"{name} {percent(share)}" for name, share in [first, *rest] if share >= LARGE]
    doubt = " Take it as a hint: that is little to go by." if _is_doubtful(explained, count) else ""
    partly = any(shares.get(name) for name in found["trials_with"])
    among = " What not every trial has is judged among those that have it." if partly else ""
    return (
        f"Parameters foretell {percent(explained)} of the variance of {label} between {count} "
        f"trials, most of it {' and '.join(listed)}.{doubt}{among}"
    )


def _is_doubtful(explained: float, count: int) -> bool:
    return explained < HARDLY or count < FEW
