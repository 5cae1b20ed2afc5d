import pytest

from kdray.errors import SweepError
from kdray.reporting.objectives import OBJECTIVES, ideal_point, objective, reference_point
from kdray.reporting.pareto import Direction

from .conftest import TEACHER, verification


def ends(metric: str, direction: Direction) -> tuple[float, float]:
    extra = {"throughput": 100.0, "f1_spam": 0.8, "clarity": 0.6, "regret": 0.2}
    extra |= {"noise_5_macro_f1": 0.7, "noise_10_ece": 0.09, "latency_p95_ms": 6.0}
    file = verification(metrics={**TEACHER, **extra})
    reference = reference_point({metric: direction}, file)
    return reference[metric], ideal_point({metric: direction}, file)[metric]


@pytest.mark.parametrize(
    ("metric", "direction", "reference", "ideal"),
    [
        ("size_mb", "minimize", 8.0, 0.0),
        ("latency_ms", "minimize", 4.0, 0.0),
        ("macro_f1", "maximize", 0.31, 0.77),
        ("ece", "minimize", 0.05, 0.0),
        ("throughput", "maximize", 100.0, 200.0),
        ("speedup", "maximize", 1.0, 2.0),
        ("size_share", "minimize", 1.0, 0.0),
        ("retention", "maximize", 0.31 / 0.77, 1.0),
        ("f1_spam", "maximize", 0.0, 0.8),
        ("noise_5_macro_f1", "maximize", 0.31, 0.7),
        ("noise_10_ece", "minimize", 0.09, 0.0),
        ("latency_p95_ms", "minimize", 6.0, 0.0),
        ("clarity", "maximize", 0.0, 0.6),
        ("regret", "minimize", 0.2, 0.0),
    ],
)
def test_reference_and_ideal_of(metric: str, direction: Direction, reference: float, ideal: float):
    assert ends(metric, direction) == pytest.approx((reference, ideal))


def test_points_keep_the_order_of_the_objectives():
    objectives: dict[str, Direction] = {"size_mb": "minimize", "macro_f1": "maximize"}

    assert list(reference_point(objectives, verification())) == ["size_mb", "macro_f1"]
    assert list(ideal_point(objectives, verification())) == ["size_mb", "macro_f1"]


def test_objective_that_the_teacher_was_not_measured_on_is_named_with_the_choice():
    with pytest.raises(SweepError, match=r"throughput cannot be .* choose one of .*latency_ms"):
        reference_point({"throughput": "maximize"}, verification())


def test_costs_are_minimised_and_qualities_maximised_by_default():
    assert OBJECTIVES["size_mb"].direction == "minimize"
    assert OBJECTIVES["macro_f1"].direction == "maximize"
    assert OBJECTIVES["throughput"].direction == "maximize"


def test_labels_carry_the_unit_the_split_and_the_label_name():
    assert objective("size_mb").axis == "size (MB)"
    assert objective("test_macro_f1").axis == "test macro-F1"
    assert objective("f1_spam").axis == "F1 of spam"


@pytest.mark.parametrize(
    ("metric", "label", "kind"),
    [
        ("noise_5_macro_f1", "macro-F1 at 5 % typing noise", "quality"),
        ("test_noise_10_ece", "test expected calibration error at 10 % typing noise", "loss"),
        ("ood_accuracy", "accuracy out of domain", "quality"),
        ("f1_noise_5_a", "F1 of noise_5_a", "quality"),
    ],
)
def test_metrics_elsewhere_are_named_after_what_they_measure(metric: str, label: str, kind: str):
    found = objective(metric)
    assert (found.label, found.kind) == (label, kind)
