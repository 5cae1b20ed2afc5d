import math

import numpy as np
import pytest
from sklearn import metrics as sk

from kdray.data.base import Labels
from kdray.evaluation.quality import best_constant, decision_quality, quality
from kdray.models.inference import decide, probabilities
from tests import tiny

RANDOM = np.random.default_rng(0)


def random_case(labels, rows=60):
    logits = RANDOM.normal(size=(rows, len(labels.names))).astype(np.float32)
    targets = tiny.targets(labels, rows)
    RANDOM.shuffle(targets)
    return logits, targets


def test_f1_accuracy_and_hamming_of_labels_by_hand():
    # bully: TP 1, FP 1, FN 0: F1 = 2/3. threat: TP 1, FP 0, FN 1: 2/3. spam: never met or given: 0.
    targets = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]], np.float32)
    decided = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0]])
    found = decision_quality(targets, decided, tiny.MULTI)
    assert found == pytest.approx(
        {
            "f1_bully": 2 / 3,
            "f1_threat": 2 / 3,
            "f1_spam": 0.0,
            "macro_f1": 4 / 9,
            "micro_f1": 2 * 2 / (2 * 2 + 1 + 1),
            "accuracy": 3 / 4,
            "hamming": 2 / 12,
        }
    )


def test_f1_accuracy_and_hamming_of_classes_by_hand():
    # good: TP 1, FP 1, FN 0: 2/3. bad: TP 1, FP 0, FN 1: 2/3. ugly: TP 1: 1.
    targets, decided = np.array([0, 1, 1, 2]), np.array([0, 1, 0, 2])
    found = decision_quality(targets, decided, tiny.SINGLE)
    assert found == pytest.approx(
        {
            "f1_good": 2 / 3,
            "f1_bad": 2 / 3,
            "f1_ugly": 1.0,
            "macro_f1": 7 / 9,
            "micro_f1": 3 / 4,
            "accuracy": 3 / 4,
            "hamming": 1 / 4,
        }
    )


CASES = {
    **tiny.KINDS,
    "one label": Labels(("spam",), "multi_label"),
    "two classes": Labels(("no", "yes"), "single_label"),
}


@pytest.mark.parametrize("labels", CASES.values(), ids=CASES)
def test_quality_agrees_with_scikit_learn(labels):
    logits, targets = random_case(labels)
    if len(labels.names) == 1:
        targets[::2] = 0
    found = quality(logits, targets, labels)
    decided = decide(probabilities(logits, labels.kind == "multi_label"), labels)
    truth, given = targets, decided
    if len(labels.names) == 1:
        truth, given = targets[:, 0], decided[:, 0]
    each = dict.fromkeys(labels.names, 0.0) | dict(
        zip(
            labels.names, sk.f1_score(truth, given, average=None)[-len(labels.names) :], strict=True
        )
    )
    assert {f"f1_{name}": value for name, value in each.items()}.items() <= found.items()
    assert found["macro_f1"] == pytest.approx(np.mean(list(each.values())))
    average = "binary" if len(labels.names) == 1 else "micro"
    assert found["micro_f1"] == pytest.approx(sk.f1_score(truth, given, average=average))
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(truth, given))
    assert found["hamming"] == pytest.approx(sk.hamming_loss(truth, given))


def test_auroc_by_hand():
    # Of the 2 x 2 pairs (with, without), 3 are in order: 0.75.
    labels = Labels(("spam",), "multi_label")
    logits = np.array([[2.0], [-0.5], [0.0], [-1.0]], np.float32)
    targets = np.array([[1], [1], [0], [0]], np.float32)
    assert quality(logits, targets, labels)["auroc"] == 0.75


@pytest.mark.parametrize("labels", CASES.values(), ids=CASES)
def test_auroc_is_1_where_every_score_is_in_order(labels):
    targets = tiny.targets(labels, 12)
    if len(labels.names) == 1:
        targets[::2] = 0
    classes = np.eye(len(labels.names))[targets] if labels.kind == "single_label" else targets
    logits = np.asarray(6 * classes - 3, np.float32)
    assert quality(logits, targets, labels)["auroc"] == 1.0


@pytest.mark.parametrize("labels", tiny.KINDS.values(), ids=tiny.KINDS)
def test_auroc_is_left_out_where_a_class_does_not_occur(labels):
    logits, targets = random_case(labels)
    kept = targets[:, 2] == 0 if labels.kind == "multi_label" else targets != 2
    found = quality(logits[kept], targets[kept], labels)
    assert "auroc" not in found
    assert math.isfinite(found["macro_f1"])


@pytest.mark.parametrize("labels", tiny.KINDS.values(), ids=tiny.KINDS)
def test_logits_that_are_no_numbers_give_metrics_without_a_warning(labels):
    logits, targets = random_case(labels)
    logits[3] = np.nan
    found = quality(logits, targets, labels)
    assert all(math.isnan(found[name]) for name in ("auroc", "ece", "brier"))
    assert 0 <= found["macro_f1"] <= 1


def test_thresholds_change_decisions_and_no_ranking():
    logits, targets = random_case(tiny.MULTI)
    half, low = (
        quality(logits, targets, tiny.MULTI),
        quality(logits, targets, tiny.MULTI, (0.0,) * 3),
    )
    assert low["accuracy"] == 0.0
    assert low["f1_bully"] == 0.5  # all given, a third right: 2·20 / (20 + 60)
    assert {name: half[name] for name in ("auroc", "ece", "brier")}.items() <= low.items()


def test_the_best_constant_answer_of_labels_by_hand():
    # Of 10: bully 6, threat 5, spam 1. F1 of always giving it: 2·6/16, 2·5/15, 2·1/11.
    # micro: bully alone 12/22, bully and threat 22/32, all three 24/42.
    # accuracy: always {bully}: 4 of 10.
    rows = [[1, 1, 0]] * 2 + [[1, 0, 0]] * 4 + [[0, 1, 0]] * 3 + [[0, 0, 1]]
    best = best_constant(np.array(rows, np.float32), tiny.MULTI)
    assert best == pytest.approx(
        {
            "f1_bully": 12 / 16,
            "f1_threat": 10 / 15,
            "f1_spam": 2 / 11,
            "macro_f1": (12 / 16 + 10 / 15 + 2 / 11) / 3,
            "micro_f1": 22 / 32,
            "accuracy": 4 / 10,
            "auroc": 0.5,
        }
    )


def test_the_best_constant_accuracy_is_that_of_the_most_frequent_set_of_labels():
    # bully is the most frequent label, {threat, spam} the most frequent set: no k most frequent.
    rows = [[0, 1, 1]] * 4 + [[1, 1, 0]] * 2 + [[1, 0, 1]] * 2 + [[1, 0, 0]] * 3
    best = best_constant(np.array(rows, np.float32), tiny.MULTI)
    assert best["accuracy"] == pytest.approx(4 / 11)


def test_the_best_constant_answer_of_classes_by_hand():
    # good 5, bad 3, ugly 2 of 10; always good: accuracy 0.5, F1 2·5/15, macro a third of it.
    best = best_constant(np.array([0] * 5 + [1] * 3 + [2] * 2), tiny.SINGLE)
    assert best == pytest.approx(
        {
            "f1_good": 2 / 3,
            "f1_bad": 6 / 13,
            "f1_ugly": 4 / 12,
            "macro_f1": 2 / 9,
            "micro_f1": 0.5,
            "accuracy": 0.5,
            "auroc": 0.5,
        }
    )
