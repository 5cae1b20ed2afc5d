"""Dropout: right on average, seeded, gone outside of training and of its block."""

import pytest
import torch
from torch import nn

from kdray.models.dropout import FastDropout, dropout_factors, fast_dropout


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.9])
def test_a_share_of_p_is_dropped_and_the_expected_factor_is_one(p: float) -> None:
    torch.manual_seed(0)
    factors = dropout_factors(torch.empty(1000, 1001), p)
    assert (factors == 0).float().mean().item() == pytest.approx(p, abs=2e-3)
    assert factors.mean().item() == pytest.approx(1, abs=5e-3)
    assert factors.unique().tolist() == pytest.approx([0, 1 / (1 - p)], rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_every_number_format_has_the_same_factors_but_for_rounding(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    whole = dropout_factors(torch.empty(1001, dtype=torch.float64), 0.1)
    torch.manual_seed(0)
    assert torch.equal(dropout_factors(torch.empty(1001, dtype=dtype), 0.1), whole.to(dtype))


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(0)
    dropped = (dropout_factors(torch.empty(400_000), 0.5) == 0).float().view(-1, 4)
    assert torch.corrcoef(dropped.T).fill_diagonal_(0).abs().max() < 0.01


def test_every_place_of_a_draw_is_dropped_as_often() -> None:
    torch.manual_seed(0)
    dropped = (dropout_factors(torch.empty(400_000), 0.1) == 0).float().view(-1, 4)
    assert dropped.mean(0).tolist() == pytest.approx([0.1] * 4, abs=3e-3)


def test_zero_drops_nothing_and_one_drops_everything() -> None:
    like = torch.ones(7, dtype=torch.bfloat16)
    assert dropout_factors(like, 0.0).tolist() == [1] * 7
    assert dropout_factors(like, 1.0).tolist() == [0] * 7
    assert dropout_factors(like, 0.5).dtype == torch.bfloat16


def test_the_same_seed_drops_the_same_values() -> None:
    first, second = (torch.manual_seed(3) and dropout_factors(torch.empty(50), 0.5) for _ in "ab")
    assert torch.equal(first, second)


def test_the_gradient_flows_through_what_is_kept() -> None:
    torch.manual_seed(0)
    values = torch.ones(100, requires_grad=True)
    kept = FastDropout(0.5)(values)
    torch.autograd.backward(kept.sum())
    assert values.grad is not None
    assert torch.equal(values.grad, kept.detach())


def test_evaluation_drops_nothing() -> None:
    values = torch.ones(100)
    assert FastDropout(0.5).eval()(values) is values


def test_a_model_has_its_own_dropout_again_after_the_block() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(0.3))).train()
    inner = model[1]
    assert isinstance(inner, nn.Sequential)
    own = inner[0]
    with fast_dropout(model):
        assert isinstance(inner[0], FastDropout)
        assert inner[0].training
        model.eval()
    assert inner[0] is own
    assert not own.training
