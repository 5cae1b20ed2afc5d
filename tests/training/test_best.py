import math

import pytest
import torch
from torch import nn

from kdray.config.sections import EarlyStopping, Training
from kdray.training.best import BestEpoch, is_over


def best_of(values, metric="macro_f1"):
    best, layer = BestEpoch(metric), nn.Linear(1, 1)
    for epoch, value in enumerate(values, start=1):
        nn.init.constant_(layer.weight, epoch)
        best.offer(epoch, {"macro_f1": value}, layer)
    best.restore(layer)
    return best.epoch, int(layer.weight.item())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.1, 0.3, 0.2], 2),
        ([0.3, 0.3, 0.3], 1),
        ([0.1, 0.2, 0.3], 3),
        ([0.0, 0.0], 1),
        ([math.nan, math.nan], 1),
        ([math.nan, 0.1, math.nan], 2),
    ],
)
def test_the_weights_of_the_best_epoch_come_back(values, expected):
    assert best_of(values) == (expected, expected)


def test_a_metric_that_cannot_be_measured_keeps_the_first_epoch():
    assert best_of([0.1, 0.2], metric="auroc") == (1, 1)


def test_what_is_kept_is_a_copy():
    best, layer = BestEpoch("macro_f1"), nn.Linear(1, 1)
    before = layer.weight.detach().clone()
    best.offer(1, {"macro_f1": 0.5}, layer)
    nn.init.constant_(layer.weight, 9.0)
    best.restore(layer)
    assert torch.equal(layer.weight, before)


@pytest.mark.parametrize(
    ("patience", "values", "ends"),
    [
        (1, [0.1, 0.2, 0.2, 0.3], 3),
        (2, [0.1, 0.2, 0.2, 0.3, 0.3, 0.3], 6),
        (2, [0.3, 0.2, 0.1], 3),
        (3, [0.3, 0.2, 0.1], None),
        (1, [math.nan, math.nan], 2),
        (None, [0.1] * 9, None),
    ],
)
def test_a_training_is_over_after_so_many_epochs_without_a_better_one(patience, values, ends):
    stopping = None if patience is None else EarlyStopping(patience=patience)
    best, options = BestEpoch("macro_f1"), Training(early_stopping=stopping)
    over = []
    for epoch, value in enumerate(values, start=1):
        best.offer(epoch, {"macro_f1": value}, nn.Linear(1, 1))
        over.append(is_over(best, epoch, options))
    assert over == [epoch == ends for epoch in range(1, len(values) + 1)]


def test_no_training_is_over_before_an_epoch_was_offered():
    options = Training(early_stopping=EarlyStopping(patience=1))
    assert not is_over(BestEpoch("macro_f1"), 5, options)
