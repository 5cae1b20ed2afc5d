"""Parameters as one vector: the same weights, the same gradients, read in another format."""

import pytest
import torch
from torch import nn

from kdray.training.flat import FlatParameters


@pytest.fixture
def layer() -> nn.Linear:
    return nn.Linear(3, 2)


def test_the_vector_holds_the_weights_end_to_end(layer: nn.Linear) -> None:
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    flat = FlatParameters([layer.weight, layer.bias])
    assert torch.equal(flat.vector, torch.cat([weight.flatten(), bias]))
    assert torch.equal(layer.weight, weight)


def test_what_is_written_to_the_vector_is_read_by_the_parameters(layer: nn.Linear) -> None:
    flat = FlatParameters([layer.weight, layer.bias])
    flat.vector.data.copy_(torch.arange(8.0))
    assert layer.weight.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert layer.bias.tolist() == [6, 7]


def test_gradients_are_moved_and_one_that_is_missing_is_zero(layer: nn.Linear) -> None:
    flat = FlatParameters([layer.weight, layer.bias])
    torch.autograd.backward(layer(torch.ones(1, 3)).sum())
    flat.gather()
    assert flat.vector.grad is not None
    assert flat.vector.grad.tolist() == [1] * 8
    assert layer.weight.grad is None
    torch.autograd.backward(layer.bias.sum() * 5)
    flat.gather()
    assert flat.vector.grad.tolist() == [0] * 6 + [5, 5]


def test_a_part_is_the_place_of_a_parameter_in_any_vector_like_it(layer: nn.Linear) -> None:
    flat = FlatParameters([layer.weight, layer.bias])
    assert flat.part(torch.arange(8), layer.bias).tolist() == [6, 7]
    assert layer.bias in flat
    assert nn.Parameter(torch.zeros(2)) not in flat


def test_the_rounded_copy_is_brought_up_to_date_and_gone_after_the_block(layer: nn.Linear) -> None:
    flat = FlatParameters([layer.weight])
    with flat.read_as(torch.bfloat16):
        flat.vector.data.fill_(1 + 2**-10)
        assert layer.weight.dtype == torch.bfloat16
        flat.round()
        assert layer.weight.unique().tolist() == [1.0]
    assert layer.weight.unique().tolist() == [1 + 2**-10]


def test_released_parameters_share_no_storage(layer: nn.Linear) -> None:
    flat = FlatParameters([layer.weight, layer.bias])
    flat.release()
    flat.vector.data.zero_()
    assert layer.weight.any()
    assert layer.weight.untyped_storage().nbytes() == 6 * 4


def test_frozen_parameters_have_no_gradient(layer: nn.Linear) -> None:
    assert FlatParameters([layer.weight.requires_grad_(False)]).vector.grad is None


def rows_of(*rows: int) -> torch.Tensor:
    """A gradient of ones in some rows of a matrix of 4 × 2: an embedding, 2 if twice."""
    layer = nn.Embedding(4, 2, sparse=True)
    torch.autograd.backward(layer(torch.tensor(rows)).sum())
    assert layer.weight.grad is not None
    return layer.weight.grad


@pytest.fixture
def table() -> tuple[nn.Parameter, FlatParameters]:
    weight = nn.Parameter(torch.zeros(4, 2))
    return weight, FlatParameters([weight, nn.Parameter(torch.zeros(1))])


def gathered(table: tuple[nn.Parameter, FlatParameters], *, add: bool = False) -> list[float]:
    weight, flat = table
    flat.gather(add)
    assert flat.vector.grad is not None
    return flat.part(flat.vector.grad, weight)[:, 0].tolist()


def test_of_a_sparse_gradient_the_rows_are_moved_and_those_of_the_batch_before_are_0(
    table: tuple[nn.Parameter, FlatParameters],
) -> None:
    table[0].grad = rows_of(0, 2, 2)
    assert gathered(table) == [1, 0, 2, 0]
    table[0].grad = rows_of(3)
    assert gathered(table) == [0, 0, 0, 1]
    assert gathered(table) == [0, 0, 0, 0]


def test_sparse_and_dense_gradients_add_up_and_take_turns(
    table: tuple[nn.Parameter, FlatParameters],
) -> None:
    table[0].grad = rows_of(0, 2)
    gathered(table)
    table[0].grad = rows_of(2, 3)
    assert gathered(table, add=True) == [1, 0, 2, 1]
    table[0].grad = torch.ones(4, 2)
    assert gathered(table, add=True) == [2, 1, 3, 2]
    table[0].grad = rows_of(1)
    assert gathered(table) == [0, 1, 0, 0]
    table[0].grad = torch.ones(4, 2)
    assert gathered(table) == [1, 1, 1, 1]
    table[0].grad = rows_of(1)
    assert gathered(table, add=True) == [1, 2, 1, 1]
    table[0].grad = rows_of(0)
    assert gathered(table) == [1, 0, 0, 0]


def test_a_sparse_gradient_is_measured_and_scaled_as_a_dense_one(
    table: tuple[nn.Parameter, FlatParameters],
) -> None:
    weight, flat = table
    weight.grad = rows_of(0, 2)
    gathered(table)
    weight.grad = rows_of(2)
    gathered(table, add=True)
    squares = sum(float(part.square().sum()) for part in flat.gradients())
    assert squares == 2 * (1 + 4)
    flat.scale(torch.tensor(0.5))
    assert gathered(table, add=True) == [0.5, 0, 1, 0]


def test_one_parameter_without_a_gradient_does_not_take_the_vector_apart(
    table: tuple[nn.Parameter, FlatParameters],
) -> None:
    table[0].grad = torch.ones(4, 2)
    gathered(table)
    assert [part.shape for part in table[1].gradients()] == [(9,)]


def test_rows_are_known_while_others_are_added(table: tuple[nn.Parameter, FlatParameters]) -> None:
    table[0].grad = rows_of(1)
    gathered(table)
    assert gathered(table, add=True) == [0, 1, 0, 0]
    assert [part.shape for part in table[1].gradients()] == [(1, 2), (1,)]
