"""Quality by what a trial is: its distillation, its pruning, its regime, who it learnt from."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import median

from kdray.reporting.charts.base import Chart, Read, Series
from kdray.reporting.charts.chance import said
from kdray.reporting.charts.trials import (
    ALPHA,
    METHOD,
    TWIN,
    completed,
    counted_rows,
    is_better_high,
    is_labels_only,
    labels_only,
    levels,
    qualities,
    quality_axis,
    setting,
    told,
)
from kdray.reporting.formats import is_missing, measured
from kdray.reporting.headline import Row
from kdray.reporting.objectives import objective
from kdray.reporting.students import quality_of

HARD, BOTH, SOFT = "labels only (hard)", "both", "teacher only (soft)"
# More groups than this are told of by the best and the worst.
TOLD = 5


def method_charts(sweep: Read) -> list[Chart]:
    """Returns the quality by distillation method, by pruning and by regime, where it was drawn."""
    kinds: list[tuple[str, str, Callable[[Row, Read], str]]] = [
        ("distillation", "distillation method", _distillation),
        ("pruning", "pruning method", _pruning),
        ("regime", "regime", _regime),
    ]
    charts = []
    for name, axis, label in kinds:
        groups = _grouped(sweep, label)
        if len(groups) > 1:
            ordered = {group: groups[group] for group in _best_first(sweep, groups)}
            charts.append(_chart(sweep, (name, f"Quality by {axis}", axis), ordered))
    return charts


def soft_and_hard_charts(sweep: Read) -> list[Chart]:
    """Returns the quality from the labels only, from the teacher only, and from both.

    Labels only: see `labels_only`. Teacher only: alpha 1.
    """
    groups = {HARD: labels_only(sweep), **_grouped(sweep, _taught_by)}
    ordered = {name: groups[name] for name in (HARD, BOTH, SOFT) if groups.get(name)}
    if len(ordered) < 2:
        return []
    title = "Soft only against hard only against both"
    chart = _chart(sweep, ("soft_and_hard", title, "what the student learns from"), ordered)
    return [replace(chart, says=f"{chart.says}{_not_there(ordered)}")]


def _grouped(sweep: Read, label: Callable[[Row, Read], str]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in completed(sweep):
        if name := label(row, sweep):
            groups.setdefault(name, []).append(row)
    return groups


def _best_first(sweep: Read, groups: Mapping[str, Sequence[Row]]) -> list[str]:
    medians = {name: median(qualities(rows, sweep)) for name, rows in groups.items()}
    return sorted(medians, key=lambda name: medians[name], reverse=is_better_high(sweep))


def _distillation(row: Row, sweep: Read) -> str:
    return str(setting(row, sweep, METHOD) or "")


def _regime(row: Row, sweep: Read) -> str:
    return str(setting(row, sweep, "regime.name") or "")


def _pruning(row: Row, sweep: Read) -> str:
    """The method, or all methods that are applied in turn: "width + vocabulary"."""
    fixed = sweep.config.get("pruning")
    stages = fixed if isinstance(fixed, list) else []
    methods = {n: stage.get("method") for n, stage in enumerate(stages)}
    for name, value in row.items():
        found = re.fullmatch(r"pruning\.([0-9]+)\.method", name)
        if found and not is_missing(value):
            methods[int(found[1])] = value
    if not methods:
        return str(setting(row, sweep, "pruning.method") or "")
    return " + ".join(str(methods[n]) for n in sorted(methods))


def _taught_by(row: Row, sweep: Read) -> str:
    """Who a trial with a teacher learnt from; nothing for one without."""
    if is_labels_only(row, sweep):
        return ""
    # Without an alpha in the file a method has its own, which is between 0 and 1.
    return SOFT if setting(row, sweep, ALPHA) == 1 else BOTH


def _not_there(groups: Mapping[str, Sequence[Row]]) -> str:
    baselines = any(TWIN in row for row in groups.get(HARD, ()))
    says = " A baseline is a student of the front, trained again without the teacher." * baselines
    missing = {SOFT: "the teacher alone (alpha 1)", BOTH: "both", HARD: "labels alone"}
    absent = [told for name, told in missing.items() if name not in groups]
    return says + (f" No trial learnt from {' or from '.join(absent)}." if absent else "")


def _chart(sweep: Read, names: tuple[str, str, str], groups: Mapping[str, Sequence[Row]]) -> Chart:
    name, title, axis = names
    metric = quality_of(sweep)
    medians = {group: median(qualities(rows, sweep)) for group, rows in groups.items()}
    middle = Series(
        "median",
        list(medians),
        list(medians.values()),
        role="front",
        hover=[
            f"{group}\nmedian {measured(metric, value)} of {counted_rows(groups[group])}"
            for group, value in medians.items()
        ],
    )
    series = [_points(sweep, groups), middle]
    return Chart(
        name, title, _says(sweep, groups), axis, quality_axis(sweep), series, levels(sweep)
    )


def _points(sweep: Read, groups: Mapping[str, Sequence[Row]]) -> Series:
    rows = [row for own in groups.values() for row in own]
    return Series(
        "trials",
        [group for group, own in groups.items() for _ in own],
        qualities(rows, sweep),
        role="other",
        hover=[told(row, sweep) for row in rows],
        ids=[str(row["trial_id"]) for row in rows],
    )


def _says(sweep: Read, groups: Mapping[str, Sequence[Row]]) -> str:
    metric = quality_of(sweep)
    values = {name: qualities(rows, sweep) for name, rows in groups.items()}
    parts = {
        name: f"{name} {measured(metric, median(own))} ({counted_rows(groups[name])})"
        for name, own in values.items()
    }
    listed = ", ".join(parts.values())
    if len(parts) > TOLD:
        ordered = _best_first(sweep, groups)
        listed = f"from {parts[ordered[-1]]} to {parts[ordered[0]]}, of {len(parts)}"
    head = f"Median {objective(metric).label}: {listed}."
    return f"{head} {said(list(values.values()))}"
