"""How a report writes numbers and drawn values; what is not there is a dash."""

import math
from collections.abc import Callable
from typing import Any

MISSING = "–"
_SHORT = ("_mb", "_ms", "_s", "parameters", "macs", "throughput")


def is_missing(value: Any) -> bool:
    """Tells whether a cell holds nothing: None or NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def quality(value: Any) -> str:
    """Returns 0.7519 as "0.752"."""
    return MISSING if is_missing(value) else f"{value:.3f}"


def short(value: Any) -> str:
    """Returns a size or a time with the digits that matter: "0.047", "1.9", "25.6", "1,230"."""
    if is_missing(value):
        return MISSING
    rounded = float(f"{value:.3g}")
    if 1 <= rounded < 9.95:
        return f"{rounded:.1f}"
    return f"{rounded:,.0f}" if rounded >= 1000 else f"{rounded:g}"


def measured(metric: str, value: Any) -> str:
    """Returns a value of a metric in the format of its kind."""
    return short(value) if metric.endswith(_SHORT) else quality(value)


def percent(share: Any) -> str:
    """Returns 0.9894 as "98.9 %"."""
    return MISSING if is_missing(share) else f"{100 * share:.1f} %"


def portion(share: Any) -> str:
    """Returns 0.2634 as "26 %" and 0.0263 as "2.6 %"."""
    return MISSING if is_missing(share) else f"{100 * share:.{0 if share >= 0.0995 else 1}f} %"


def times(ratio: Any) -> str:
    """Returns 2.43 as "2.4×"."""
    return MISSING if is_missing(ratio) else f"{ratio:.1f}×"


def drawn(value: Any) -> str:
    """Returns a drawn value: 2.0 as "2", 0.41327 as "0.413", a name as it is."""
    if is_missing(value):
        return MISSING
    if not isinstance(value, float):
        return str(value)
    return str(int(value)) if value.is_integer() else f"{value:.3g}"


def duration(seconds: float) -> str:
    """Returns 42 as "42 s", 75.2 as "1 min 15 s", 1325 as "22 min", 3723 as "1 h 2 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def at_least(value: float) -> str:
    """Returns the number rounded up to three digits: as a largest value it lets this one pass."""
    return _rounded(value, math.ceil)


def at_most(value: float) -> str:
    """Returns the number rounded down to three digits: as a least value it lets this one pass."""
    return _rounded(value, math.floor)


def _rounded(value: float, to: Callable[[float], int]) -> str:
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 2) if value else 1.0
    # 0.7 is 699.9999999999999 steps.
    texts = [f"{round(count * step, 12):g}" for count in (round(value / step), to(value / step))]
    return texts[0] if float(texts[0]) == value else texts[1]
