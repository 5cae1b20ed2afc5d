import numpy as np
import pytest
import torch

from kdray.config.sections import Evaluation, Robustness
from kdray.data.sources import SOURCES
from kdray.evaluation.measure import (
    costs_together,
    judged_together,
    measure_alone,
    measure_quality,
    probe_inputs,
)
from kdray.evaluation.metrics import METRICS, is_after_training, known_metrics, selection_metric
from kdray.evaluation.quality import quality
from kdray.models.inference import predict_logits, probabilities
from tests import tiny


def splits(labels):
    return {
        "validation": tiny.dataset(labels),
        "test": tiny.dataset(labels, (4, 2, 6, 3)),
    }


@pytest.mark.parametrize("labels", tiny.KINDS.values(), ids=tiny.KINDS)
def test_validation_and_test_are_measured_side_by_side(labels):
    model, parts = tiny.model(labels), splits(labels)
    measured = measure_quality(model, parts, labels, Evaluation())
    for name, prefix in (("validation", ""), ("test", "test_")):
        logits = predict_logits(model, parts[name])
        assert np.array_equal(measured.logits[name], logits)
        for metric, value in quality(logits, parts[name].targets, labels).items():
            assert measured.metrics[prefix + metric] == value
    assert measured.thresholds == ((0.5,) * 3 if labels is tiny.MULTI else ())


def test_thresholds_are_tuned_on_validation_alone():
    model, parts = tiny.model(), splits(tiny.MULTI)
    tuned = measure_quality(model, parts, tiny.MULTI, Evaluation(thresholds="tuned"))
    fixed = measure_quality(model, parts, tiny.MULTI, Evaluation())
    assert tuned.metrics["macro_f1"] > fixed.metrics["macro_f1"]
    others = parts | {"test": tiny.dataset(tiny.MULTI, (9, 3, 3))}
    again = measure_quality(model, others, tiny.MULTI, Evaluation(thresholds="tuned"))
    assert again.thresholds == tuned.thresholds != (0.5,) * 3


def test_what_is_measured_has_a_direction():
    model, parts = tiny.model(), splits(tiny.MULTI)
    found = set(measure_quality(model, parts, tiny.MULTI, Evaluation()).metrics)
    found |= set(measure_alone(model, parts["test"]))
    plain = {name for name in found if not name.startswith(("test_", "f1_"))}
    assert plain == METRICS.keys() - {"size_mb", "size_share", "speedup", "retention"}


def test_noise_and_other_domains_are_measured_without_single_labels():
    model, test = tiny.model(), tiny.dataset(tiny.MULTI, (4, 2, 6, 3))
    names = ("validation_noise_5", "test_noise_5", "out_of_domain")
    parts = splits(tiny.MULTI) | {"train": test} | dict.fromkeys(names, test)
    metrics = measure_quality(model, parts, tiny.MULTI, Evaluation()).metrics
    for metric in ("macro_f1", "micro_f1", "accuracy", "auroc", "hamming", "ece", "brier"):
        for prefix in ("noise_5_", "test_noise_5_", "ood_"):
            assert metrics[prefix + metric] == metrics[f"test_{metric}"]
    assert [name for name in metrics if "f1_bully" in name] == ["f1_bully", "test_f1_bully"]
    assert not [name for name in metrics if "train" in name]


@pytest.mark.parametrize(
    ("lengths", "expected"),
    # 95 % of the way from first to last: place 1.9 of 0 to 2, place 18.05 of 0 to 19.
    [((3, 9, 5), 9), ((30, *(2,) * 18, 7), 7), ((4,), 4)],
)
def test_the_probe_is_as_long_as_nearly_all_examples(lengths, expected):
    probe = probe_inputs(tiny.dataset(tiny.MULTI, lengths), torch.device("cpu"))
    assert probe["input_ids"].shape == (1, expected)
    assert int(probe["attention_mask"].sum()) == expected


def test_each_label_has_a_metric_of_its_own_where_the_labels_are_known():
    source = SOURCES["files"].model_construct(labels=["spam", "threat"])
    assert known_metrics(source) == METRICS | {"f1_spam": "maximize", "f1_threat": "maximize"}
    assert known_metrics(SOURCES["files"].model_construct(labels="class")) == METRICS
    assert known_metrics(None) == METRICS


def test_metrics_under_noise_have_the_direction_that_they_have_without():
    noisy = Evaluation(robustness=Robustness(noise=[0.1, 0.05]))
    found = known_metrics(None, noisy).items() - METRICS.items()
    assert ("noise_5_macro_f1", "maximize") in found
    assert ("noise_10_brier", "minimize") in found
    assert len(found) == 14


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("noise_5_ece", True), ("throughput", True), ("ece", False), ("f1_noise_5_a", False)],
)
def test_only_a_trained_student_is_timed_or_tried_under_noise(metric, expected):
    assert is_after_training(metric) == expected


@pytest.mark.parametrize(
    ("objectives", "expected"),
    [
        ({"size_mb": "minimize", "micro_f1": "maximize", "accuracy": "maximize"}, "micro_f1"),
        ({"f1_spam": "maximize"}, "f1_spam"),
        ({"size_mb": "minimize"}, "macro_f1"),
    ],
)
def test_the_first_objective_of_quality_selects_the_epoch(objectives, expected):
    assert selection_metric(objectives) == expected


@pytest.mark.parametrize("labels", tiny.KINDS.values(), ids=tiny.KINDS)
def test_an_ensemble_decides_by_the_mean_probability_of_its_members(labels):
    parts, models = splits(labels), [tiny.model(labels), tiny.model(labels, seed=1)]
    each = [measure_quality(model, parts, labels, Evaluation()) for model in models]
    whole = judged_together(each, (0.8, 0.2), parts, labels, Evaluation())
    scores = [probabilities(one.logits["test"], labels is tiny.MULTI) for one in each]
    found = probabilities(whole.logits["test"], labels is tiny.MULTI)
    assert np.allclose(found, 0.8 * scores[0] + 0.2 * scores[1], atol=1e-6)
    expected = quality(whole.logits["test"], parts["test"].targets, labels)
    assert {name: whole.metrics[f"test_{name}"] for name in expected} == expected


def test_models_that_all_read_each_text_cost_the_sum_of_all():
    found = costs_together([{"macs": 3.0, "throughput": 2.0}, {"macs": 4.0, "throughput": 6.0}])
    assert found == {"macs": 7.0, "throughput": pytest.approx(1.5)}
