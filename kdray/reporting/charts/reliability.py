"""Calibration: whether decisions are right as often as their confidence says."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdray.reporting.charts.base import Chart, Read, Series
from kdray.reporting.formats import percent, quality
from kdray.reporting.mistakes import SPLIT, Arrays, probabilities, read_arrays
from kdray.reporting.students import chosen_of, front_of
from kdray.results.folder import PREDICTIONS, TRUTH

BINS = 15
# Less than this between confidence and being right is called neither too sure nor too unsure.
CLOSE = 0.01


@dataclass(frozen=True)
class Reliability:
    """Decisions of a model in bins of equal width of confidence; empty bins are left out.

    Attributes:
        confidence: Mean confidence of each bin.
        right: Share of its decisions that are right.
        count: How many there are.
    """

    confidence: NDArray[np.float64]
    right: NDArray[np.float64]
    count: NDArray[np.int64]

    @property
    def ece(self) -> float:
        """Expected calibration error, Σ_b |b|/N · |right(b) − confidence(b)|."""
        return float(np.average(np.abs(self.right - self.confidence), weights=self.count))


def reliability(predictions: Arrays, targets: NDArray[Any]) -> Reliability:
    """Returns how reliable a model is on test, as the metric `ece` sees it.

    Single-label: confidence is the probability of the likeliest class. Multi-label: every label of
    every example is a decision at 0.5, its confidence the probability of what was decided.

    Reference: Guo et al., "On Calibration of Modern Neural Networks", 2017.
    https://arxiv.org/abs/1706.04599

    Args:
        predictions: Logits of `test`, (examples, labels).
        targets: (examples, labels) of 0 and 1: multi-label; (examples,): single-label.
    """
    scores = probabilities(predictions[SPLIT], multi_label=targets.ndim == 2)
    if targets.ndim == 2:
        confidence = np.maximum(scores, 1 - scores).ravel()
        right = ((scores > 0.5) == targets.astype(bool)).ravel()
    else:
        confidence, right = scores.max(1), scores.argmax(1) == targets
    places = np.clip((confidence * BINS).astype(np.int64), 0, BINS - 1)
    count = np.bincount(places, minlength=BINS)
    full = count > 0
    sums = [np.bincount(places, values, minlength=BINS)[full] for values in (confidence, right)]
    return Reliability(sums[0] / count[full], sums[1] / count[full], count[full])


def reliability_charts(sweep: Read) -> list[Chart]:
    """Returns the reliability of the teacher and of the student that the headline speaks of."""
    truth = read_arrays(sweep.folder.teacher / TRUTH)
    chosen = chosen_of(front_of([sweep]))
    files = {"teacher": sweep.folder.teacher / PREDICTIONS}
    if chosen:
        files[f"trial {chosen.id}"] = sweep.folder.trial(chosen.id) / PREDICTIONS
    read = {name: read_arrays(file) for name, file in files.items()}
    if SPLIT not in truth or not all(read.values()):
        return []
    found = {name: reliability(arrays, truth[SPLIT]) for name, arrays in read.items()}
    chart = Chart(
        name="calibration",
        title="Calibration",
        says=_says(found),
        x=f"confidence, mean of each of {BINS} bins",
        y="share that is right, test",
        series=[_diagonal(found), *(_series(name, one) for name, one in found.items())],
    )
    return [chart]


def _diagonal(found: dict[str, Reliability]) -> Series:
    low = min(float(one.confidence.min()) for one in found.values())
    return Series("as sure as right", [low, 1.0], [low, 1.0], kind="line", role="other")


def _series(name: str, one: Reliability) -> Series:
    counts = zip(one.confidence, one.right, one.count, strict=True)
    return Series(
        f"{name}, ECE {quality(one.ece)}",
        one.confidence.tolist(),
        one.right.tolist(),
        kind="line",
        role="teacher" if name == "teacher" else "front",
        hover=[
            f"{name}\nsure {percent(sure)}, right {percent(right)}\n{count:,} decisions"
            for sure, right, count in counts
        ],
    )


def _says(found: dict[str, Reliability]) -> str:
    models = " ".join(_of_one(name, one) for name, one in found.items())
    last = list(found.values())[-1]
    most = float(last.count[-1] / last.count.sum())
    return f"{models} Of its decisions {percent(most)} are in the surest bin; the others hold few."


def _of_one(name: str, one: Reliability) -> str:
    sure, right = (float(np.average(of, weights=one.count)) for of in (one.confidence, one.right))
    gap = sure - right
    how = "too sure" if gap > 0 else "too unsure"
    how = "neither too sure nor too unsure on the whole" if abs(gap) < CLOSE else how
    called = "The teacher" if name == "teacher" else name.capitalize()
    means = f"{percent(sure)} sure on average and right in {percent(right)} of its decisions"
    return f"{called} is {means}: {how}."
