import numpy as np
import pytest

from kdray.evaluation.calibration import expected_calibration_error
from kdray.reporting.charts.reliability import reliability, reliability_charts
from kdray.reporting.mistakes import probabilities
from kdray.results.folder import PREDICTIONS, TRUTH

from ..conftest import MakeSweep
from .conftest import tabled, trial


def logit(*rows: list[float]) -> np.ndarray:
    p = np.array(rows, np.float64)
    return np.log(p / (1 - p))


def test_decisions_of_labels_fall_into_bins_of_their_confidence() -> None:
    # Confidences 0.9, 0.91 (bin 13 of 15) and 0.6, 0.62 (bin 9); of the first two one is right.
    predictions = {"test": logit([0.9, 0.6], [0.09, 0.62])}
    found = reliability(predictions, np.array([[1, 1], [1, 0]], np.float32))
    assert found.confidence.tolist() == pytest.approx([0.61, 0.905])
    assert found.right.tolist() == [0.5, 0.5]
    assert found.count.tolist() == [2, 2]
    assert found.ece == pytest.approx((0.11 + 0.405) / 2)


def test_of_classes_the_likeliest_is_the_decision() -> None:
    predictions = {"test": np.log(np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.3, 0.3, 0.4]]))}
    found = reliability(predictions, np.array([0, 0, 2]))
    assert found.confidence.tolist() == pytest.approx([0.4, 0.7])
    assert (found.right.tolist(), found.count.tolist()) == ([1.0, 0.5], [1, 2])


@pytest.mark.parametrize("multi_label", [True, False])
def test_the_error_is_the_one_that_the_sweep_measures(multi_label: bool) -> None:
    generator = np.random.default_rng(0)
    logits = 3 * generator.standard_normal((300, 4)).astype(np.float32)
    targets = generator.integers(0, 2, (300, 4)) if multi_label else generator.integers(0, 4, 300)
    scores = probabilities(logits, multi_label=multi_label)
    expected = expected_calibration_error(scores, targets.astype(np.float32), multi_label)
    assert reliability({"test": logits}, targets).ece == pytest.approx(expected, abs=1e-6)


def test_the_figure_shows_teacher_and_chosen_student(make_sweep: MakeSweep) -> None:
    folder = make_sweep(trial(1, 0.7))
    truth = np.array([[1, 0], [0, 1]], np.float32)
    np.savez(folder.teacher / TRUTH, test=truth, labels=np.array(["bully", "spam"]))
    np.savez(folder.teacher / PREDICTIONS, test=logit([0.9, 0.1], [0.1, 0.9]))
    np.savez(folder.trial("0001") / PREDICTIONS, test=logit([0.99, 0.01], [0.99, 0.99]))
    (chart,) = reliability_charts(tabled(folder))
    diagonal, teacher, student = chart.series
    assert (teacher.name, teacher.x, teacher.y) == ("teacher, ECE 0.100", [pytest.approx(0.9)], [1])
    assert (student.name, student.y) == ("trial 0001, ECE 0.240", [0.75])
    assert diagonal.x == diagonal.y == [pytest.approx(0.9), 1.0]
    assert student.hover == ["trial 0001\nsure 99.0 %, right 75.0 %\n4 decisions"]
    assert chart.says.startswith(
        "The teacher is 90.0 % sure on average and right in 100.0 % of its decisions: too unsure. "
        "Trial 0001 is 99.0 % sure on average and right in 75.0 % of its decisions: too sure."
    )


def test_without_predictions_there_is_no_figure(make_sweep: MakeSweep) -> None:
    assert reliability_charts(tabled(make_sweep(trial(1, 0.7)))) == []
