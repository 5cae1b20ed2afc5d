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


class Small(torch.nn.Module):
    """A model on a device that holds some positions at once."""

    def __init__(self, room):
        super().__init__()
        self.model, self.room, self.attempts = tiny.model(), room, []

    def forward(self, input_ids, **inputs):
        self.attempts.append(input_ids.numel())
        if input_ids.numel() > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.model(input_ids=input_ids, **inputs)


def test_batches_that_do_not_fit_are_halved_and_the_logits_are_the_same():
    dataset, small = tiny.dataset(lengths=(6,) * 2000), Small(room=3000)
    found = predict_logits(small, dataset)
    assert small.attempts[:3] == [8190, 4092, 2046]
    assert np.allclose(found, predict_logits(tiny.model(), dataset), atol=1e-5)


def test_an_example_that_does_not_fit_alone_is_an_error():
    small = Small(room=6)
    with pytest.raises(torch.OutOfMemoryError):
        predict_logits(small, tiny.dataset(lengths=(7, 3)))
    assert small.attempts[-1] == 7
