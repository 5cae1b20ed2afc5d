"""The F1 of each label on test: the teacher, the chosen student, and the same from labels only."""

from collections.abc import Mapping

from kdray.reporting.charts.base import Chart, Read, Series
from kdray.reporting.formats import is_missing, quality
from kdray.reporting.students import chosen_of, front_of

PREFIX = "test_f1_"


def label_charts(sweep: Read) -> list[Chart]:
    """Returns the scores by label of the student that the headline speaks of, beside others."""
    chosen = chosen_of(front_of([sweep]))
    teacher = _scores(sweep.summary["teacher"])
    student = _scores(chosen.row) if chosen else {}
    labels = [label for label in teacher if label in student]
    if chosen is None or len(labels) < 2:
        return []
    baseline = sweep.folder.baselines.result(chosen.id)
    twin = _scores(baseline.metrics) if baseline else {}
    name = f"trial {chosen.id}"
    series = [
        Series("teacher", labels, [teacher[it] for it in labels], "bars", "teacher"),
        Series(name, labels, [student[it] for it in labels], "bars", "front"),
    ]
    if all(label in twin for label in labels):
        values = [twin[label] for label in labels]
        series.append(Series("the same from labels only", labels, values, "bars", "baseline"))
    says = _says(name, {it: teacher[it] for it in labels}, student)
    return [Chart("labels", "Scores by label", says, "label", "F1, test", series)]


def _scores(metrics: Mapping[str, object]) -> dict[str, float]:
    return {
        name.removeprefix(PREFIX): float(str(value))
        for name, value in metrics.items()
        if name.startswith(PREFIX) and not is_missing(value)
    }


def _says(name: str, teacher: Mapping[str, float], student: Mapping[str, float]) -> str:
    gains = {label: student[label] - score for label, score in teacher.items()}
    worst = min(gains, key=lambda label: gains[label])
    behind = [label for label, gain in gains.items() if gain < 0]
    if not behind:
        return f"On test {name} is nowhere behind its teacher."
    moved = f"from {quality(teacher[worst])} to {quality(student[worst])}"
    return (
        f"On test {name} is behind its teacher at {len(behind)} of {len(gains)} labels, "
        f"furthest at {worst}: {moved}."
    )
