import pytest
import torch
from torch import nn

from kdray.config.sections import Training
from kdray.training.optimizer import decays, make_optimizer, make_schedule, rate_factor
from tests import tiny


def test_the_schedule_warms_up_and_decays_linearly_by_hand():
    # 10 steps, 3 of them warm-up: 1/4, 2/4, 3/4, then (10 − step) / 7 down to 1/7, and 0 after.
    found = [rate_factor(step, 3, 10) for step in range(11)]
    assert found == pytest.approx(
        [1 / 4, 2 / 4, 3 / 4, 1, 6 / 7, 5 / 7, 4 / 7, 3 / 7, 2 / 7, 1 / 7, 0]
    )


def test_without_warm_up_the_first_step_has_the_peak():
    assert [rate_factor(step, 0, 4) for step in range(5)] == [1, 0.75, 0.5, 0.25, 0]


@pytest.mark.parametrize("warmup", [0, 1, 5, 9])
def test_every_step_has_a_rate_above_0_and_at_most_the_peak(warmup):
    assert all(0 < rate_factor(step, warmup, 10) <= 1 for step in range(10))


def vectors(*values):
    return [(nn.Parameter(torch.tensor(value)), decaying) for decaying, value in values]


def test_the_optimizer_follows_the_schedule():
    optimizer = make_optimizer(vectors((True, [1.0])), Training(learning_rate=0.1))
    schedule = make_schedule(optimizer, 0.25, 4)
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    # One warm-up step: 1/2, then 3/3, 2/3, 1/3.
    assert rates == pytest.approx([0.05, 0.1, 0.2 / 3, 0.1 / 3])


def test_norms_and_biases_do_not_decay():
    for name, parameter in tiny.model().named_parameters():
        plain = name.endswith("bias") or "LayerNorm" in name
        assert decays(parameter) != plain, name


def test_one_step_without_gradient_is_decay_alone():
    found = vectors((True, [2.0, -4.0]), (False, [3.0]))
    optimizer = make_optimizer(found, Training(weight_decay=0.1, learning_rate=0.5))
    for vector, _ in found:
        vector.grad = torch.zeros_like(vector)
    optimizer.step()
    assert found[0][0].tolist() == pytest.approx([2 * (1 - 0.5 * 0.1), -4 * (1 - 0.5 * 0.1)])
    assert found[1][0].tolist() == [3.0]
