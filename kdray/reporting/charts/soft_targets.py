"""What the teacher says of some texts of test, as it is and softened by a temperature."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdray.reporting.charts.base import Chart, Read, Series
from kdray.reporting.formats import quality
from kdray.reporting.mistakes import SPLIT, Arrays, answers, probabilities, read_arrays
from kdray.results.folder import PREDICTIONS, TEXTS, TRUTH, SweepFolder

TEMPERATURES = (1, 3, 10)
# Labels that are drawn, the likeliest ones; signs of a text that are shown.
MOST_LABELS, WIDTH = 12, 240
ALONE = (
    "It is an ensemble: above 1 its soft targets are the mean of its members', each softened, and "
    "what each says of test is not kept."
)
CASES = {
    "sure": "is right and surest",
    "between": "is right and as sure as usual",
    "unsure": "is least sure",
    "wrong": "is wrong and surest",
}


@dataclass(frozen=True)
class Example:
    """A text and what the teacher says of it.

    Attributes:
        row: Its place in the test set, from 0.
        truth: The labels that it has.
        targets: The teacher's soft targets by temperature and label; of an ensemble at 1 alone.
    """

    row: int
    truth: Sequence[str]
    targets: Mapping[int, Mapping[str, float]]


def soft_target_charts(sweep: Read) -> list[Chart]:
    """Returns the teacher's soft targets of up to four texts, which it is sure of and not.

    Texts are shown where they may be; others are named by their place in the test set.
    """
    truth = read_arrays(sweep.folder.teacher / TRUTH)
    teacher = read_arrays(sweep.folder.teacher / PREDICTIONS)
    if SPLIT not in truth or SPLIT not in teacher:
        return []
    texts = _texts(sweep.folder)
    together = bool(sweep.summary.get("teacher_members"))
    temperatures = TEMPERATURES[:1] if together else TEMPERATURES
    return [
        _chart(case, _example(row, truth, teacher, temperatures), texts)
        for case, row in choose_rows(teacher, truth[SPLIT]).items()
    ]


def choose_rows(teacher: Arrays, targets: NDArray[Any]) -> dict[str, int]:
    """Returns a row of test for each of `CASES` that there is one of, no row twice.

    How sure the teacher is of an example is the probability of what it decides, multi-label: of the
    label that it is least sure of. The sure one has a label, if any example has that is right.

    Args:
        teacher: Its logits of `test`, and its `thresholds`.
        targets: (examples, labels) of 0 and 1: multi-label; (examples,): single-label.
    """
    found = answers(teacher, targets)
    several = targets.ndim == 2
    sure = (found.confidence.min(1) if several else found.confidence.max(1)).astype(np.float64)
    right = ~found.wrong_rows
    labelled = right & found.given.any(1)
    middle = np.median(sure[right]) if right.any() else 0.0
    wanted = {
        "sure": (labelled if labelled.any() else right, sure),
        "wrong": (~right, sure),
        "unsure": (np.ones_like(right), -sure),
        "between": (labelled if labelled.any() else right, -np.abs(sure - middle)),
    }
    rows: dict[str, int] = {}
    for case, (among, worth) in wanted.items():
        left = np.where(among, worth, -np.inf)
        left[list(rows.values())] = -np.inf
        if np.isfinite(left).any():
            rows[case] = int(left.argmax())
    return {case: rows[case] for case in CASES if case in rows}


def _example(row: int, truth: Arrays, teacher: Arrays, temperatures: Sequence[int]) -> Example:
    names = [str(name) for name in truth["labels"]]
    given = truth[SPLIT][row]
    several = np.ndim(given) == 1
    has = [name for n, name in enumerate(names) if (given[n] if several else given == n)]
    logits = teacher[SPLIT][row : row + 1].astype(np.float64)
    scores = {t: probabilities(logits, multi_label=several, temperature=t)[0] for t in temperatures}
    likeliest = np.sort(np.argsort(-scores[1], kind="stable")[:MOST_LABELS])
    return Example(
        row,
        has,
        {t: {names[n]: float(values[n]) for n in likeliest} for t, values in scores.items()},
    )


def _chart(case: str, example: Example, texts: Sequence[str] | None) -> Chart:
    return Chart(
        name=f"soft_targets_{case}",
        title=f"Soft targets where the teacher {CASES[case]}",
        says=_says(example, texts),
        x="label",
        y="soft target",
        series=[
            Series(f"T = {t}", list(targets), list(targets.values()), kind="bars")
            for t, targets in example.targets.items()
        ],
    )


def _says(example: Example, texts: Sequence[str] | None) -> str:
    text = ""
    if texts is not None:
        text = f", “{textwrap.shorten(texts[example.row], WIDTH, placeholder=' …')}”"
    first, last = min(example.targets), max(example.targets)
    ordered = sorted(example.targets[first].items(), key=lambda it: -it[1])[:2]
    plain = " and ".join(f"{label} {quality(value)}" for label, value in ordered)
    truth = ", ".join(example.truth) or "no label"
    told = (
        f"Row {example.row} of test{text}; truth: {truth}. At T = {first} the teacher says {plain}"
    )
    if first == last:
        return f"{told}. {ALONE}"
    soft = " and ".join(quality(example.targets[last][label]) for label, _ in ordered)
    return f"{told}, at T = {last} {soft}."


def _texts(folder: SweepFolder) -> list[str] | None:
    """The texts of test, which are on disk only where a report may show them."""
    file = folder.teacher / TEXTS
    if not file.is_file():
        return None
    found: list[str] = json.loads(file.read_text(encoding="utf-8"))[SPLIT]
    return found
