from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from kdray.models.outputs import Needs
from kdray.preparation import PreparedSweep
from kdray.regimes.online import Average
from kdray.schema import TrialConfig
from kdray.trial import run_trial
from tests import tiny
from tests.distillation.lesson import batch


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([8.0]))
        self.register_buffer("mean", torch.tensor([4.0]))
        self.register_buffer("count", torch.tensor([1]))

    def become(self, weight: float, mean: float, count: int) -> None:
        with torch.no_grad():
            self.weight.fill_(weight)
            self.mean.fill_(mean)
            self.count.fill_(count)


def followed(momentum: float) -> list[float]:
    model = Small()
    average = Average(model, momentum)
    average.follow(model)  # before the first step
    values = []
    for weight, mean, count in ((2.0, 0.0, 2), (5.0, 2.0, 3)):
        model.become(weight, mean, count)
        average.follow(model)
        own = average.model
        values += [own.weight.item(), own.mean.item(), own.count.item()]
    return values


def test_the_average_of_two_steps_by_hand() -> None:
    # 0.25 · 8 + 0.75 · 2 = 3.5, 0.25 · 4 + 0.75 · 0 = 1; then 0.25 · 3.5 + 0.75 · 5 = 4.625 and
    # 0.25 · 1 + 0.75 · 2 = 1.75. Integers are taken over.
    assert followed(0.25) == pytest.approx([3.5, 1.0, 2, 4.625, 1.75, 3])


def test_a_high_momentum_begins_as_the_mean_of_all_weights_so_far() -> None:
    # (8 + 2) / 2 = 5 and (4 + 0) / 2 = 2; (8 + 2 + 5) / 3 = 5 and (4 + 0 + 2) / 3 = 2.
    assert followed(0.999) == pytest.approx([5.0, 2.0, 2, 5.0, 2.0, 3])


def test_no_momentum_is_the_student_itself() -> None:
    assert followed(0.0) == pytest.approx([2.0, 0.0, 2, 5.0, 2.0, 3])


def test_the_student_is_not_changed_and_gets_no_gradient_through_its_average() -> None:
    model = tiny.model()
    average = Average(model, 0.5)
    with torch.no_grad():
        model.classifier.bias.add_(1.0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    told = average.lessons(Needs())(batch(tiny.MULTI), 0)
    average.follow(model)
    assert not told.logits.requires_grad  # type: ignore[union-attr]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_the_average_says_teaches_the_student(
    sweep: PreparedSweep, trial: Callable[..., TrialConfig], precision: str
) -> None:
    found = [
        run_trial(
            trial(
                regime={"name": "online", "momentum": momentum}, training={"precision": precision}
            ),
            sweep,
        ).logits["test"]
        for momentum in (0.0, 0.9)
    ]
    assert not np.array_equal(*found)
