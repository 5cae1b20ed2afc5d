"""The table of the front in two that fit on paper: what students reach, and how they were made.

What is alike in all of them is said in a sentence instead.
"""

from collections.abc import Sequence
from typing import Any

from kdray.reporting.formats import MISSING
from kdray.reporting.tables import DRAWN, STORED, TEACHER, Table


def front_tables(front: Table) -> dict[str, Any]:
    """Returns what a report shows of the front.

    Args:
        front: The table of the front, with its teachers.

    Returns:
        `reached`: quality and costs, of the teachers too. `made`: what was drawn for each student,
        without what is alike in all; None where nothing differs. `alike`: that, in a sentence.
    """
    columns = front["columns"]
    students = [row for row in front["rows"] if row["kind"] != TEACHER]
    alike = [n for n, one in enumerate(columns) if one[DRAWN] and _is_alike(students, n)]
    # The teacher's size is told in each number format, so the format stands beside it.
    beside = [n for n, one in enumerate(columns) if not one[DRAWN] or one["name"] == STORED]
    reached = [n for n in beside if n not in alike]
    made = [0, *(n for n in range(len(columns)) if n not in {*beside, *alike})]
    return {
        "reached": _only(columns, front["rows"], reached),
        "made": _only(columns, students, made) if len(made) > 1 else None,
        "alike": _said(columns, students, alike),
    }


def _is_alike(students: Sequence[dict[str, Any]], place: int) -> bool:
    return len(students) > 1 and len({row["cells"][place] for row in students}) == 1


def _only(
    columns: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]], places: Sequence[int]
) -> Table:
    names = [column["name"] for column in columns]
    return {
        "columns": [{**columns[n], "name": _short(columns[n]["name"], names)} for n in places],
        "rows": [{**row, "cells": [row["cells"][n] for n in places]} for row in rows],
    }


def _said(
    columns: Sequence[dict[str, Any]], students: Sequence[dict[str, Any]], places: Sequence[int]
) -> str:
    names = [column["name"] for column in columns]
    values = {_short(names[n], names): students[0]["cells"][n] for n in places}
    listed = ", ".join(f"{name} {value}" for name, value in values.items() if value != MISSING)
    return f"Alike in all of them: {listed}." if listed else ""


def _short(name: str, names: Sequence[str]) -> str:
    """Returns "learning rate" for `training.learning_rate`, where nothing else is called so."""
    ends = [other.rpartition(".")[2] for other in names]
    end = name.rpartition(".")[2]
    is_option = "." in name and " " not in name
    return end.replace("_", " ") if is_option and ends.count(end) == 1 else name
