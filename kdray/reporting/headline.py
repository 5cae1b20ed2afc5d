"""The one sentence that a report opens with, and the student that it speaks of.

The student is chosen on validation; its quality is then told as measured on test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdray.reporting.formats import is_missing, measured, percent, portion, short
from kdray.reporting.objectives import objective
from kdray.reporting.pareto import Direction, knee
from kdray.reporting.stored import WEIGHTS, WHOLE

Row = Mapping[str, Any]
# How many times longer a late round takes than the median, or the medians say, beside other work.
BUSY = 2.0


@dataclass(frozen=True)
class Against:
    """A student beside its teacher; None where one of the two has no value.

    Attributes:
        quality: The student's quality, on test if that was measured.
        split: Where `quality` is from: `test` or `validation`.
        retention: Its quality over the teacher's, on the same split.
        size: Its `size_mb` over the teacher's in the same number format.
        speedup: The teacher's latency over its own.
        busy: Whether the machine did other work while it was timed; see `was_busy`.
    """

    quality: float | None
    split: str
    retention: float | None
    size: float | None
    speedup: float | None
    busy: bool = False


def quality_metric(objectives: Mapping[str, Direction], teacher: Row) -> str:
    """Returns the metric that the report calls quality.

    It is the first objective that is a quality of its own, not a ratio to the teacher's; in a
    sweep without one, macro-F1 or accuracy if they were measured, else the first objective.
    """
    own = {name: way for name, way in objectives.items() if name != "retention"}
    qualities = [name for name, way in own.items() if objective(name, way).kind == "quality"]
    measured_anyway = [name for name in ("macro_f1", "accuracy") if name in teacher]
    return [*qualities, *measured_anyway, *objectives][0]


def choose(front: Sequence[Row], teacher: Row, objectives: Mapping[str, Direction]) -> Row | None:
    """Returns the student to speak of: the best of at most half the teacher's size, or the knee.

    Args:
        front: Rows of `trials.csv` that are on the front.
        teacher: The teacher's metrics.
        objectives: Direction of each objective.
    """
    if not front:
        return None
    metric = quality_metric(objectives, teacher)
    better = 1 if objective(metric, objectives.get(metric)).direction == "maximize" else -1
    half = [row for row in front if (size_share(row, teacher) or 1.0) <= 0.5]
    half = [row for row in half if not is_missing(row.get(metric))]
    if half:
        return max(half, key=lambda row: better * row[metric])
    points = [[row[name] for name in objectives] for row in front]
    return front[knee(points, list(objectives.values()))]


def against(row: Row, teacher: Row, metric: str) -> Against:
    """Returns how a student does beside its teacher.

    Args:
        row: A row of `trials.csv`.
        teacher: The teacher's metrics.
        metric: The validation metric that is the quality.
    """
    tested = not is_missing(row.get(f"test_{metric}"))
    name = f"test_{metric}" if tested else metric
    slowness = _ratio(row, teacher, "latency_ms")
    return Against(
        quality=_value(row, name),
        split="test" if tested else "validation",
        retention=_ratio(row, teacher, name) if objective(name).kind == "quality" else None,
        size=size_share(row, teacher),
        # Measured in turn with the teacher, so it is better than the ratio of two latencies.
        speedup=_value(row, "speedup") or (1 / slowness if slowness else None),
        busy=was_busy(row, teacher),
    )


def was_busy(row: Row, teacher: Row) -> bool:
    """Returns whether a machine did other work while a student was timed on it.

    Then some of its rounds took much longer than others, or the medians of student and teacher
    do not say what their fastest rounds say.
    """
    median, late = _value(row, "latency_ms"), _value(row, "latency_p95_ms")
    if median and late and late > BUSY * median:
        return True
    its = _value(row, "teacher_latency_ms") or _value(teacher, "latency_ms")
    speedup = _value(row, "speedup")
    if not median or not its or not speedup:
        return False
    return not 1 / BUSY < its / median / speedup < BUSY


def size_share(row: Row, teacher: Row) -> float | None:
    """Returns a student's size over its teacher's in the same number format.

    A halved number format would otherwise be told as pruning.
    """
    beside = _value(row, "teacher_size_mb") or _value(teacher, "size_mb")
    mine = _value(row, "size_mb")
    return None if mine is None or not beside else mine / beside


def sentence(row: Row, teacher: Row, metric: str) -> str:
    """Returns the headline of a student, leaving out what was not measured.

    For example "0.752 macro-F1 on test at 1.9 MB: 98.9 % of the teacher at 26 % of its size, 2.4
    times faster". A number format other than float32 is named, of the student and the teacher; a
    speed-up that was timed beside other work is hedged.
    """
    found = against(row, teacher, metric)
    head = f"{measured(metric, found.quality)} {objective(metric).label} on {found.split}"
    stored = row.get(WEIGHTS, WHOLE)
    inside = "" if stored == WHOLE else f" in {stored}"
    if not is_missing(row.get("size_mb")):
        head += f" at {short(row['size_mb'])} MB{inside}"
    tail = ", ".join(part for part in (_kept(found, inside), _speed(found)) if part)
    return f"{head}: {tail}" if tail else head


def _kept(found: Against, inside: str) -> str:
    if found.retention is None:
        return "" if found.size is None else f"{portion(found.size)} of the teacher's size{inside}"
    kept = f"{percent(found.retention)} of the teacher"
    return kept if found.size is None else f"{kept} at {portion(found.size)} of its size{inside}"


def _speed(found: Against) -> str:
    if not found.speedup:
        return ""
    said = _faster(found.speedup)
    return f"about {said}, timed on a busy machine" if found.busy else said


def _faster(speedup: float) -> str:
    if 0.95 < speedup < 1.05:
        return "as fast"
    return f"{speedup:.1f} times faster" if speedup > 1 else f"{1 / speedup:.1f} times slower"


def _ratio(row: Row, teacher: Row, name: str) -> float | None:
    mine, its = _value(row, name), _value(teacher, name)
    return None if mine is None or not its else mine / its


def _value(row: Row, name: str) -> float | None:
    return None if is_missing(row.get(name)) else float(row[name])
