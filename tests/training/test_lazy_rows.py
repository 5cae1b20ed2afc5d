"""Rows of an embedding stepped when they are read: where AdamW takes them all at each step."""

import pytest
import torch
from torch import Tensor, nn

from kdray.config.sections import Training
from kdray.training.lazy_rows import LARGE, LazyRows, large_embeddings
from kdray.training.optimizer import make_optimizer

ROWS, WIDTH = 40, 3


class Both:
    """The same table with lazy steps, and with those of torch's AdamW."""

    def __init__(self, decay: float = 0.1, tolerance: float = 1e-5) -> None:
        rate, self.tolerance = 0.01, tolerance
        torch.manual_seed(0)
        self.layer = nn.Embedding(ROWS, WIDTH, padding_idx=0)
        self.plain = nn.Parameter(self.layer.weight.detach().clone())
        self.lazy = LazyRows([self.layer])
        options = Training(learning_rate=rate, weight_decay=decay)
        self.optimizer = make_optimizer([(self.lazy.vector, True)], options)
        self.lazy.belong_to(self.optimizer)
        self.adam = torch.optim.AdamW([self.plain], lr=rate, weight_decay=decay)

    def step(self, ids: Tensor, scale: float = 1.0) -> None:
        """Takes a step by random gradients of what is read."""
        read = self.layer(ids)
        whole = nn.functional.embedding(ids, self.plain, padding_idx=0)
        assert torch.allclose(read, whole, rtol=0, atol=self.tolerance)
        gradient = scale * torch.randn(read.shape)
        torch.autograd.backward((gradient * read).sum())
        self.lazy.gather()
        self.lazy.step()
        torch.autograd.backward((gradient * whole).sum())
        self.adam.step()
        self.adam.zero_grad()


@pytest.fixture
def both() -> Both:
    return Both()


def draws(steps: int) -> list[Tensor]:
    """Returns the ids of so many batches; small ones are frequent."""
    generator = torch.Generator().manual_seed(1)
    return [(torch.rand(2, 4, generator=generator) ** 3 * ROWS).long() for _ in range(steps)]


@pytest.mark.parametrize("decay", [0.0, 0.1])
# The third has gradients of a hundred times ε.
@pytest.mark.parametrize(("scale", "tolerance"), [(1.0, 1e-5), (1e-3, 1e-4), (1e-6, 1e-2)])
def test_rows_are_where_adamw_takes_them_when_they_are_read_and_at_the_end(
    scale: float, tolerance: float, decay: float
) -> None:
    both = Both(decay, tolerance)
    with both.lazy.reading():
        for ids in draws(300):
            both.step(ids, scale)
    assert torch.allclose(both.layer.weight, both.plain, rtol=0, atol=tolerance)
    for name in ("exp_avg", "exp_avg_sq"):
        mine = both.optimizer.state[both.lazy.vector][name].view(ROWS, WIDTH)
        its = both.adam.state[both.plain][name]
        assert torch.allclose(mine, its, rtol=0, atol=1e-4 * its.abs().max().item())


def test_the_learning_rate_may_change_between_steps(both: Both) -> None:
    with both.lazy.reading():
        for index, ids in enumerate(draws(100)):
            for optimizer in (both.optimizer, both.adam):
                optimizer.param_groups[0]["lr"] = 0.01 * (100 - index) / 100
            both.step(ids)
    assert torch.allclose(both.layer.weight, both.plain, rtol=1e-4, atol=2e-6)


def test_rows_that_nobody_read_wait(both: Both) -> None:
    before = both.layer.weight.detach().clone()
    with both.lazy.reading():
        both.step(torch.tensor([3, 4]))
        assert torch.equal(both.layer.weight[5:], before[5:])
    assert torch.allclose(both.layer.weight, both.plain)
    assert not torch.equal(both.layer.weight[5:], before[5:])


def test_to_set_rows_up_to_date_twice_changes_nothing(both: Both) -> None:
    with both.lazy.reading():
        for ids in draws(5):
            both.step(ids)
        both.lazy.settle()
        once = both.layer.weight.detach().clone()
        both.lazy.settle()
        both.layer(torch.arange(ROWS))
        assert torch.equal(both.layer.weight, once)


def test_what_goes_on_from_a_stored_state_ends_in_the_same_bits(both: Both) -> None:
    batches = draws(40)
    with both.lazy.reading():
        for ids in batches[:20]:
            both.step(ids)
    other = Both()
    stored = {name: t.clone() for name, t in both.optimizer.state[both.lazy.vector].items()}
    other.lazy.vector.data.copy_(both.lazy.vector)
    for name, tensor in stored.items():
        other.optimizer.state[other.lazy.vector][name].copy_(tensor)
    for one in (both, other):
        one.plain.data.copy_(one.layer.weight)
        one.adam.state.clear()
        with one.lazy.reading():
            for ids in batches[20:]:
                torch.autograd.backward(one.layer(ids).sin().sum())
                one.lazy.gather()
                one.lazy.step()
    assert torch.equal(both.layer.weight, other.layer.weight)


def test_gradients_of_several_parts_of_a_batch_add_up(both: Both) -> None:
    with both.lazy.reading():
        for index, ids in enumerate(([1, 2], [2, 3, 3])):
            torch.autograd.backward(both.layer(torch.tensor(ids)).sum())
            both.lazy.gather(add=index > 0)
        assert both.lazy.gradient[:, 0].tolist() == [1, 2, 2]
        both.lazy.scale(torch.tensor(0.5))
        assert both.lazy.gradient[:, 0].tolist() == [0.5, 1, 1]
        both.lazy.gather(add=True)  # nothing more
        assert len(both.lazy.gradient) == 3
        both.lazy.gather()
        assert len(both.lazy.gradient) == 0


def test_a_dense_gradient_is_taken_as_well(both: Both) -> None:
    both.layer.weight.grad = torch.zeros(ROWS, WIDTH)
    both.layer.weight.grad[7] = 2.0
    both.lazy.gather()
    assert both.lazy.gradient.tolist() == [[2.0] * WIDTH]


def test_pruned_weights_stay_0(both: Both) -> None:
    mask = torch.ones(ROWS, WIDTH)
    mask[:, 1] = 0
    both.layer.weight.data.mul_(mask)
    both.lazy.prune(both.layer.get_parameter("weight"), mask)
    with both.lazy.reading():
        for ids in draws(5):
            torch.autograd.backward(both.layer(ids).cos().sum() + both.layer(ids).sum())
            both.lazy.gather()
            both.lazy.mask_gradient()
            both.lazy.step()
    assert not both.layer.weight[:, 1].any()
    assert both.layer.weight[1:, 0].all()


def test_gradients_are_sparse_inside_the_block_only(both: Both) -> None:
    with both.lazy.reading():
        assert both.layer.sparse
    assert not both.layer.sparse
    assert not both.layer._forward_pre_hooks


def test_large_are_trainable_embeddings_of_many_rows_once_if_they_share_them() -> None:
    large, small, frozen = (nn.Embedding(n, 2) for n in (LARGE, LARGE - 1, LARGE))
    other = nn.Embedding(LARGE, 2)
    other.weight = large.weight
    frozen.requires_grad_(False)
    model = nn.ModuleList([small, large, frozen, other])
    assert large_embeddings(model) == [[large, other]]
