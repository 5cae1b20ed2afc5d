"""Number formats in a report: a student is compared with its teacher in the same format.

A matrix in int8 takes a quarter of what it takes in float32. That is the format's doing, and must
not be told as the pruning's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from kdray.reporting.formats import is_missing

# Of a table, whose columns pandas does not promise to be text.
Row = Mapping[Any, Any]

WEIGHTS, WHOLE = "student.weights", "float32"
_INT8 = " In int8 a matrix has a float32 scale a row; a loaded student computes in float32."


def stored_as(row: Row, config: Mapping[str, Any]) -> str:
    """Returns the number format of a student: as drawn, as the file fixes it, or the default.

    Args:
        row: A row of `trials.csv`.
        config: `config` of `sweep.yaml`.
    """
    if not is_missing(row.get(WEIGHTS)):
        return str(row[WEIGHTS])
    student = config.get("student")
    fixed = student.get("weights") if isinstance(student, Mapping) else None
    return fixed if isinstance(fixed, str) else WHOLE


def teachers(rows: Sequence[Row], teacher: Row) -> list[Row]:
    """Returns the teacher once for each number format of some students, with its size in it.

    Args:
        rows: Rows of `trials.csv` that say their format, see `stored_as`.
        teacher: The teacher's metrics; its size is that in float32.
    """
    sizes = {
        row[WEIGHTS]: row["teacher_size_mb"]
        for row in rows
        if not is_missing(row.get("teacher_size_mb")) and WEIGHTS in row
    }
    if not sizes:
        return [{WEIGHTS: WHOLE, **teacher}]
    return [
        {**teacher, WEIGHTS: name, "size_mb": size, "teacher_size_mb": size}
        for name, size in sizes.items()
    ]


def formats_said(rows: Sequence[Row]) -> str:
    """Returns what a report says of number formats; nothing where all students are in float32."""
    names = sorted({row[WEIGHTS] for row in rows if row["status"] == "completed"})
    if names in ([], [WHOLE]):
        return ""
    return (
        f"Students are stored in {', '.join(names)}, and each one's size is set beside the "
        "teacher's in the same format. The reference point has the teacher's in float32."
        + (_INT8 if "int8" in names else "")
    )
