import numpy as np
import pytest

from kdray.evaluation.calibration import brier_score, expected_calibration_error


def test_the_calibration_error_of_labels_by_hand():
    # Confidences 0.9 right, 0.9 wrong (said no, 0.1), 0.6 right, 0.6 right. Bin of 0.9: accuracy
    # 0.5, gap 0.4; bin of 0.6: accuracy 1, gap 0.4. Half the decisions each: 0.4.
    scores = np.array([[0.9, 0.1], [0.6, 0.4]])
    targets = np.array([[1, 1], [1, 0]], np.float32)
    assert expected_calibration_error(scores, targets, True) == pytest.approx(0.4)


def test_the_calibration_error_of_classes_by_hand():
    # Confidences 0.8 right, 0.8 wrong, 0.5 right: 2/3 · |0.5 − 0.8| + 1/3 · |1 − 0.5|.
    scores = np.array([[0.8, 0.1, 0.1], [0.8, 0.1, 0.1], [0.3, 0.5, 0.2]])
    error = expected_calibration_error(scores, np.array([0, 2, 1]), False)
    assert error == pytest.approx(2 / 3 * 0.3 + 1 / 3 * 0.5)


def test_over_and_under_confidence_cancel_within_a_bin_only():
    # 0.61 and 0.65 share a bin of 1/15, 0.95 has its own.
    scores = np.array([[0.61], [0.65], [0.95]])
    targets = np.array([[1], [0], [1]], np.float32)
    expected = abs((1 - 0.61) + (0 - 0.65)) / 3 + 0.05 / 3
    assert expected_calibration_error(scores, targets, True) == pytest.approx(expected)


def test_sure_and_right_is_perfectly_calibrated():
    targets = np.array([[1, 0], [0, 1]], np.float32)
    assert expected_calibration_error(targets, targets, True) == 0
    assert expected_calibration_error(np.eye(2), np.array([0, 1]), False) == 0


def test_the_brier_score_of_labels_by_hand():
    # (0.1² + 0.4² + 0.5² + 0²) / 4
    scores = np.array([[0.9, 0.4], [0.5, 1.0]])
    targets = np.array([[1, 0], [1, 1]], np.float32)
    assert brier_score(scores, targets, True) == pytest.approx(0.42 / 4)


def test_the_brier_score_of_classes_by_hand():
    # (0.3² + 0.2² + 0.1²) / 2 = 0.07, and sure and wrong = 1: their mean.
    scores = np.array([[0.7, 0.2, 0.1], [0.0, 0.0, 1.0]])
    assert brier_score(scores, np.array([0, 1]), False) == pytest.approx((0.07 + 1) / 2)
