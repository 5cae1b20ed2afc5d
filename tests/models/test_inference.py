import numpy as np
import pytest
import torch

from kdray.models.inference import decide, predict_logits, probabilities
from tests import tiny


def test_logits_come_in_the_order_of_the_dataset():
    model, dataset = tiny.model(), tiny.dataset()
    found = predict_logits(model, dataset)
    for row in range(len(dataset)):
        ids = torch.from_numpy(dataset.arrays(np.array([row]))["input_ids"]).long()
        alone = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.detach().numpy()
        assert np.allclose(found[row], alone[0], atol=1e-5)


def test_dropout_is_off_while_predicting():
    model = tiny.model().train()
    first = predict_logits(model, tiny.dataset())
    assert np.array_equal(first, predict_logits(model.train(), tiny.dataset()))


def test_probabilities_of_labels_are_sigmoids_and_of_classes_a_softmax():
    logits = np.array([[0.0, np.log(3.0)]], np.float32)
    assert np.allclose(probabilities(logits, True), [[0.5, 0.75]])
    assert np.allclose(probabilities(logits, False), [[0.25, 0.75]])


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [((), [[0, 1, 0]]), ((0.5, 0.5, 0.5), [[0, 1, 0]]), ((0.4, 0.7, 0.1), [[1, 0, 1]])],
)
def test_a_label_is_given_above_its_threshold(thresholds, expected):
    scores = np.array([[0.5, 0.7, 0.2]], np.float64)
    assert decide(scores, tiny.MULTI, thresholds).tolist() == expected


def test_the_likeliest_class_is_decided():
    scores = np.array([[0.2, 0.5, 0.3], [0.4, 0.3, 0.3]], np.float32)
    assert decide(scores, tiny.SINGLE).tolist() == [1, 0]
