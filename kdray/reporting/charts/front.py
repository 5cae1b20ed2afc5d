"""The Pareto front, in full: of one sweep with its other trials, or of several sweeps together."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kdray.reporting.charts.base import Chart, Read, Role, Series
from kdray.reporting.confidence import confirmed, half, with_interval
from kdray.reporting.figures import KEPT, NUMBER, axes_of, axis_label, spans_decade, without_axis
from kdray.reporting.formats import is_missing, measured, percent, short
from kdray.reporting.headline import Row
from kdray.reporting.objectives import objective
from kdray.reporting.pareto import Direction
from kdray.reporting.stored import WEIGHTS, WHOLE, stored_as, teachers
from kdray.reporting.students import Student, front_of, names
from kdray.reporting.tables import configuration

Point = tuple[float, float]


def front_chart(sweeps: Sequence[Read]) -> Chart:
    """Returns the front of one sweep, or what no student of several dominates.

    The first maximised objective stands against the first minimised one, as in `pareto.png`, on
    validation, where the front was decided. The x axis is logarithmic if its values span more than
    a factor of 10.
    """
    objectives: Mapping[str, Direction] = sweeps[0].config["objectives"]
    axes = axes_of(objectives)
    front = front_of(sweeps)
    teacher, lines = _teachers(sweeps, axes)
    trials = _by_sweep(sweeps, axes) if len(sweeps) > 1 else _by_kind(sweeps[0], axes)
    # The front is drawn last: else what stands beside it would lie on its marks.
    beside = [*_labels_only(front, axes), *_with_other_seeds(front, axes)]
    last = _front(front, axes, objectives, is_flat=len(objectives) == 2)
    series = [*trials, *beside, *teacher, last]
    shown = [one for one in series if one.x]
    values = [float(value) for one in shown for value in one.x]
    return Chart(
        name="front",
        title="The front",
        says=_says(sweeps, objectives),
        x=axis_label(axes[0], objectives),
        y=axis_label(axes[1], objectives),
        series=shown,
        lines=lines,
        log_x=axes[0] != NUMBER and spans_decade(values),
    )


def _says(sweeps: Sequence[Read], objectives: Mapping[str, Direction]) -> str:
    several = (
        "What no trial of any of the sweeps beats in every objective is the front. "
        if len(sweeps) > 1
        else ""
    )
    rest = without_axis(objectives)
    hidden = (
        f" A point that others seem to beat is on it for what has no axis here: {', '.join(rest)}."
        if rest
        else ""
    )
    return f"{several}Measured on validation, where the front was decided.{hidden}"


def _front(
    front: Sequence[Student],
    axes: tuple[str, str],
    objectives: Mapping[str, Direction],
    *,
    is_flat: bool,
) -> Series:
    """Draws it as steps, which show what is to be had up to an x, if it is flat."""
    way = -1 if objectives.get(axes[0]) == "maximize" else 1
    ordered = sorted(front, key=lambda it: way * _point(it.row, axes)[0])
    return Series(
        "front",
        [_point(it.row, axes)[0] for it in ordered],
        [_point(it.row, axes)[1] for it in ordered],
        kind="steps" if is_flat else "points",
        role="front",
        hover=[_hover(it.id, it.row, it.sweep) for it in ordered],
        ids=[it.id for it in ordered],
    )


def _by_kind(sweep: Read, axes: tuple[str, str]) -> list[Series]:
    """The other trials of one sweep, by what became of them."""
    kinds: list[tuple[str, Role, Callable[[Row], bool]]] = [
        ("completed", "other", lambda row: row["status"] == "completed" and not _outside(row)),
        ("outside the constraints", "infeasible", _outside),
        ("stopped early", "stopped", lambda row: row["status"] == "stopped_early"),
    ]
    rest = [row for row in sweep.rows if row["trial_id"] not in sweep.summary["front"]]
    return [
        _trials(name, role, [row for row in rest if belongs(row)], (sweep, ""), axes)
        for name, role, belongs in kinds
    ]


def _by_sweep(sweeps: Sequence[Read], axes: tuple[str, str]) -> list[Series]:
    """The completed trials of each sweep."""
    return [
        _trials(
            name,
            "nth",
            [it for it in sweep.rows if it["status"] == "completed" and not _outside(it)],
            (sweep, f"{name}/"),
            axes,
        )
        for sweep, name in zip(sweeps, names(sweeps), strict=True)
    ]


def _trials(
    name: str, role: Role, rows: Sequence[Row], source: tuple[Read, str], axes: tuple[str, str]
) -> Series:
    sweep, before = source
    known = [row for row in rows if not any(map(is_missing, _point(row, axes)))]
    ids = [f"{before}{row['trial_id']}" for row in known]
    return Series(
        name,
        [_point(row, axes)[0] for row in known],
        [_point(row, axes)[1] for row in known],
        role=role,
        hover=[_hover(called, row, sweep) for called, row in zip(ids, known, strict=True)],
        ids=ids,
    )


def _labels_only(front: Sequence[Student], axes: tuple[str, str]) -> list[Series]:
    """What the students of the front reach without a teacher."""
    found = [it for it in front if not is_missing(it.row.get(f"baseline_{axes[1]}"))]
    values = [float(it.row[f"baseline_{axes[1]}"]) for it in found]
    label = objective(axes[1]).label
    says = [
        _beside(it, f"labels only: {label} {measured(axes[1], value)}")
        for it, value in zip(found, values, strict=True)
    ]
    x = [_point(it.row, axes)[0] for it in found]
    return [Series("labels only", x, values, role="baseline", hover=says)]


def _with_other_seeds(front: Sequence[Student], axes: tuple[str, str]) -> list[Series]:
    """The means and intervals of what other seeds reach."""
    found = [(it, again) for it in front if (again := confirmed(it, axes[1])) is not None]
    label = objective(axes[1]).label
    says = [
        _beside(it, f"{again.runs} other seeds: {label} {with_interval(axes[1], again)}")
        for it, again in found
    ]
    return [
        Series(
            "other seeds, 95 % interval",
            [_point(it.row, axes)[0] for it, _ in found],
            [again.mean for _, again in found],
            error=[half(again) for _, again in found],
            hover=says,
        )
    ]


def _teachers(
    sweeps: Sequence[Read], axes: tuple[str, str]
) -> tuple[list[Series], Mapping[str, float]]:
    """The teachers, once for each number format, and the height of 97 % of the first."""
    x, y = axes
    found: dict[str, Point] = {}
    lines: dict[str, float] = {}
    for sweep in sweeps:
        value = sweep.summary["teacher"].get(y)
        if value is None or is_missing(value):
            continue
        if objective(y).kind == "quality":
            share = percent(KEPT).replace(".0", "")
            lines.setdefault(f"{share} of the teacher", KEPT * value)
        if x not in sweep.summary["teacher"]:
            lines.setdefault(f"teacher: {measured(y, value)}", value)
            continue
        found |= _stored_teachers(sweep, axes)
    says = [f"teacher\n{said.removeprefix('teacher: ')}" for said in found]
    points = [
        Series(said, [at[0]], [at[1]], role="teacher", hover=[words])
        for (said, at), words in zip(found.items(), says, strict=True)
    ]
    return points, lines


def _stored_teachers(sweep: Read, axes: tuple[str, str]) -> dict[str, Point]:
    x, y = axes
    rows = [{**row, WEIGHTS: stored_as(row, sweep.config)} for row in sweep.rows]
    plain = [sweep.summary["teacher"]]
    unit = f" {objective(x).unit}" if objective(x).unit else ""
    said = {}
    for row in teachers(rows, sweep.summary["teacher"]) if "size_mb" in axes else plain:
        inside = "" if row.get(WEIGHTS, WHOLE) == WHOLE else f" in {row[WEIGHTS]}"
        name = f"teacher: {measured(y, row[y])} at {short(row[x])}{unit}{inside}"
        said[name] = (float(row[x]), float(row[y]))
    return said


def _hover(called: str, row: Row, sweep: Read) -> str:
    """A trial in a few lines: its objectives with the test's, and what was drawn."""
    head = f"trial {called}" if row["status"] == "completed" else f"trial {called}, stopped"
    return "\n".join([head, *_told(row, sweep)])


def _beside(student: Student, says: str) -> str:
    """What stands beside a student, with the student itself."""
    told = _told(student.row, student.sweep)
    return "\n".join([f"trial {student.id}, {says}", "the trial itself:", *told])


def _told(row: Row, sweep: Read) -> list[str]:
    lines = []
    for metric, way in sweep.config["objectives"].items():
        known, tested = objective(metric, way), row.get(f"test_{metric}")
        line = f"{known.label} {measured(metric, row.get(metric))} {known.unit}".rstrip()
        lines.append(line if is_missing(tested) else f"{line}, test {measured(metric, tested)}")
    return [*lines, configuration(_with_format(row, sweep), sweep.config)]


def _with_format(row: Row, sweep: Read) -> dict[str, Any]:
    return {**row, WEIGHTS: stored_as(row, sweep.config)}


def _outside(row: Row) -> bool:
    return row["status"] == "completed" and row.get("feasible") is False


def _point(row: Row, axes: tuple[str, str]) -> Point:
    x, y = (float(row["trial_id"]) if axis == NUMBER else row.get(axis) for axis in axes)
    nothing = float("nan")
    return float(nothing if x is None else x), float(nothing if y is None else y)
