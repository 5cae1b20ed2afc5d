"""What the report of several sweeps says: one front over all."""

from collections.abc import Mapping, Sequence
from typing import Any

from kdray.reporting.baselines import twins_said
from kdray.reporting.charts.base import Read
from kdray.reporting.charts.hypervolume import joint_hypervolume
from kdray.reporting.context import Findings, measured_how, opening
from kdray.reporting.formats import MISSING, duration, quality
from kdray.reporting.provenance import provenance, report_command
from kdray.reporting.students import Student, chosen_of, front_of, names, quality_of
from kdray.reporting.tables import TEACHER, Table, front_table

_COUNTS = ("completed", "stopped_early", "failed")


def build_joint_context(sweeps: Sequence[Read], found: Sequence[Findings]) -> dict[str, Any]:
    """Returns everything that the templates print of several sweeps, nothing of it escaped.

    Args:
        sweeps: Tables and configuration of each; their objectives agree.
        found: What else is known of each.
    """
    front, called = front_of(sweeps), names(sweeps)
    chosen = chosen_of(front)
    # Each has a report of its own for what went wrong.
    left_out = dict.fromkeys(("errors", "infeasible", "failed"))
    return {
        **opening(front, chosen, "No trial of these sweeps completed"),
        **left_out,
        "name": " + ".join(called),
        "sweeps": _sweeps_table(sweeps, front),
        "problems": [*_problems(called, found), *_different(sweeps)],
        "tiles": _tiles(sweeps),
        "measured": measured_how(sweeps[0]),
        "notes": "All sweeps are measured from the reference point of the first.",
        "baselines": twins_said([sweep.summary for sweep in sweeps]),
        "front": _front_table(front, chosen, called),
        "constraints": "",
        "provenance": [
            provenance(name, sweep.folder, one.sweep)
            for name, sweep, one in zip(called, sweeps, found, strict=True)
        ],
        "report_command": report_command([sweep.folder for sweep in sweeps]),
    }


def _problems(called: Sequence[str], found: Sequence[Findings]) -> list[str]:
    return [
        f"The teacher of {name} did not pass verification. {problem}"
        for name, one in zip(called, found, strict=True)
        for problem in one.problems
    ]


def _different(sweeps: Sequence[Read]) -> list[str]:
    first, *others = (sweep.config.get("data") for sweep in sweeps)
    if all(other == first for other in others):
        return []
    return [
        "These sweeps do not have the same data section, so their qualities may not be "
        "comparable: look at their search spaces below."
    ]


def _tiles(sweeps: Sequence[Read]) -> list[tuple[str, str]]:
    counts = [
        (name.replace("_", " "), sum(sweep.summary["trials"][name] for sweep in sweeps))
        for name in _COUNTS
    ]
    busy = sum(sweep.summary["busy_s"] for sweep in sweeps)
    return [
        ("sweeps", str(len(sweeps))),
        *((name, str(count)) for name, count in counts),
        ("hypervolume, together", quality(joint_hypervolume(sweeps, sweeps[0]))),
        ("at work, all slots", duration(busy)),
    ]


def _sweeps_table(sweeps: Sequence[Read], front: Sequence[Student]) -> Table:
    heads: tuple[str, ...] = (
        "sweep",
        "completed",
        "stopped early",
        "failed",
        "at work",
        "hypervolume",
    )
    heads += ("own front", "of it on this front")
    rows = []
    for place, (name, sweep) in enumerate(zip(names(sweeps), sweeps, strict=True)):
        summary = sweep.summary
        told = [
            *(str(summary["trials"][count]) for count in _COUNTS),
            duration(summary["busy_s"]),
            quality(joint_hypervolume([sweep], sweeps[0])),
            str(len(summary["front"])),
            str(sum(it.place == place for it in front)),
        ]
        rows.append({"kind": "", "cells": [name, *told]})
    return {"columns": [{"name": it, "numeric": n > 0} for n, it in enumerate(heads)], "rows": rows}


def _front_table(front: Sequence[Student], chosen: Student | None, called: Sequence[str]) -> Table:
    """The teachers and the students of all, each row made as in the report of its own sweep."""
    places = sorted({it.place for it in front})
    tables = [_table_of(front, chosen, place) for place in places]
    columns = {column["name"]: column for table in tables for column in table["columns"]}
    students: dict[str, dict[str, Any]] = {}
    teachers: dict[tuple[str, ...], list[str]] = {}
    for place, table in zip(places, tables, strict=True):
        for row in table["rows"]:
            whole = _aligned(row, table, list(columns))
            if row["kind"] == TEACHER:
                teachers.setdefault(tuple(whole["cells"]), []).append(called[place])
            else:
                students[whole["cells"][0]] = whole
    rows = [*_teacher_rows(teachers), *(students[student.id] for student in front)]
    return {"columns": list(columns.values()), "rows": rows}


def _teacher_rows(teachers: Mapping[tuple[str, ...], Sequence[str]]) -> list[dict[str, Any]]:
    """A row for each teacher that differs from the others, which then says whose it is."""
    whose = {cells: f" of {', '.join(names)}" for cells, names in teachers.items()}
    alone = len(teachers) == 1
    return [
        {"kind": TEACHER, "cells": [cells[0] + ("" if alone else whose[cells]), *cells[1:]]}
        for cells in teachers
    ]


def _aligned(row: dict[str, Any], table: Table, columns: Sequence[str]) -> dict[str, Any]:
    """A row with a cell for each of the columns."""
    heads = [column["name"] for column in table["columns"]]
    cells = dict(zip(heads, row["cells"], strict=True))
    return {**row, "cells": [cells.get(name, MISSING) for name in columns]}


def _table_of(front: Sequence[Student], chosen: Student | None, place: int) -> Table:
    own = [it for it in front if it.place == place]
    rows = {it.id: {**it.row, "trial_id": it.id} for it in own}
    marked = None if chosen is None else rows.get(chosen.id)
    sweep = own[0].sweep
    teacher, metric = sweep.summary["teacher"], quality_of(sweep)
    return front_table(list(rows.values()), marked, teacher, sweep.config, metric)
