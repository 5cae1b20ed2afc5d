"""The tables on a student's card: what it can do and what it costs, beside its teacher."""

from collections.abc import Mapping
from typing import Any

from kdray.reporting.formats import MISSING, is_missing, measured, times
from kdray.reporting.objectives import OBJECTIVES, objective

Table = dict[str, Any]
_SPLITS = {"test": "test_", "validation": "", "out of domain": "ood_"}
_RATIOS = ("speedup", "size_share", "retention")


def quality_table(
    student: Mapping[str, float], teacher: Mapping[str, float], alone: Mapping[str, float]
) -> Table:
    """Returns quality by metric on every split; a column that would be empty is left out.

    Args:
        student: Its metrics.
        teacher: The teacher's.
        alone: Those of the same student from labels alone; empty if that was not run.
    """
    who = {"student": student, "teacher": teacher, "labels only": alone}
    columns = {
        f"{name}, {split}": (metrics, prefix)
        for split, prefix in _SPLITS.items()
        for name, metrics in who.items()
        if any(prefix + metric in metrics for metric in ("macro_f1", "accuracy"))
    }
    rows = [
        [
            objective(metric).label,
            *[_cell(metrics, prefix + metric) for metrics, prefix in columns.values()],
        ]
        for metric in _qualities(student)
    ]
    return {"columns": ["", *columns], "rows": rows}


def cost_table(student: Mapping[str, float], teacher: Mapping[str, float]) -> Table:
    """Returns sizes and speed.

    The teacher's size is that in the student's number format, its latency that of the same rounds.
    """
    beside = {name: student.get(f"teacher_{name}") for name in ("size_mb", "latency_ms")}
    its = {**teacher, **{name: value for name, value in beside.items() if value is not None}}
    names = [name for name, row in OBJECTIVES.items() if row.kind in ("cost", "rate")]
    rows = [
        [objective(name).axis, _cell(student, name), _cell(its, name)]
        for name in names
        if name in student and name not in _RATIOS
    ]
    speedup = student.get("speedup")
    if not is_missing(speedup):
        rows.append(["speed-up, by the fastest of both", times(speedup), times(1.0)])
    return {"columns": ["", "student", "teacher"], "rows": rows}


def _qualities(student: Mapping[str, float]) -> list[str]:
    """The quality metrics without prefix, the general ones first, then F1 by label."""
    general = [n for n, row in OBJECTIVES.items() if row.kind in ("quality", "loss")]
    labels = [name for name in student if name.startswith("f1_")]
    return [name for name in [*general, *labels] if name in student and name not in _RATIOS]


def _cell(metrics: Mapping[str, Any], name: str) -> str:
    value = metrics.get(name)
    return MISSING if is_missing(value) else measured(name, value)
