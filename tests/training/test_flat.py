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


def test_the_gradients_of_several_parts_of_a_batch_add_up(layer: nn.Linear) -> None:
    flat = FlatParameters([layer.weight])
    for add in (False, True):
        layer.weight.grad = torch.ones_like(layer.weight)
        flat.gather(add)
    assert flat.gradient.unique().tolist() == [2]
    flat.gather(add=True)  # nothing more
    assert flat.gradient.unique().tolist() == [2]
    flat.gather()
    assert not flat.gradient.any()
