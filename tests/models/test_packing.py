import math

import pytest
import torch
from safetensors.torch import save

from kdray.models.packing import MASK, SHAPE, from_format, pack, to_format, unpack

DTYPES = [torch.float32, torch.float16, torch.int8, torch.int64]


def sparse(dtype=torch.float32, ratio=0.5, shape=(24, 40), seed=0):
    generator = torch.Generator().manual_seed(seed)
    places = torch.randperm(math.prod(shape), generator=generator)
    flat = torch.randint(1, 100, (math.prod(shape),), generator=generator).to(dtype)
    flat[places[: round(ratio * len(flat))]] = 0
    return flat.reshape(shape)


def stored_bytes(tensors):
    return len(save(tensors, {"format": "pt"}))


@pytest.mark.parametrize("ratio", [0.0, 0.02, 0.1, 0.5, 0.8, 0.99, 1.0])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_packing_and_unpacking_gives_the_same_tensors(dtype, ratio):
    weights = {"a.weight": sparse(dtype, ratio), "b.weight": sparse(dtype, ratio, (7, 11, 3))}
    again = unpack(pack(weights))
    assert again.keys() == weights.keys()
    for name, tensor in weights.items():
        assert again[name].dtype == tensor.dtype
        assert torch.equal(again[name], tensor)


def test_a_view_that_is_not_contiguous_is_packed_as_it_reads():
    tensor = sparse().T
    assert torch.equal(unpack(pack({"w": tensor}))["w"], tensor)


def test_a_dense_tensor_stays_as_it_is():
    weights = {"w": sparse(ratio=0.0)}
    assert pack(weights)["w"] is weights["w"]


def test_vectors_stay_dense_so_that_fresh_biases_do_not_make_a_student_packed():
    weights = {"bias": torch.zeros(4096), "scale": torch.tensor(0.0)}
    assert pack(weights).keys() == weights.keys()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("ratio", [0.5, 0.8, 0.95])
def test_packed_is_smaller_than_dense_and_close_to_bits_and_values(dtype, ratio):
    weights = {"w": sparse(dtype, ratio, (128, 256))}
    places, size = 128 * 256, weights["w"].element_size()
    ideal = places / 8 + round((1 - ratio) * places) * size
    packed = stored_bytes(pack(weights))
    assert packed < stored_bytes(weights)
    assert ideal < packed < ideal + 400


@pytest.mark.parametrize("ratio", [0.01, 0.02, 0.03, 0.04, 0.06, 0.1, 0.3, 0.6])
@pytest.mark.parametrize("shape", [(4, 8), (16, 16), (16, 32), (64, 64)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int8], ids=str)
def test_what_is_packed_is_never_larger_than_dense(dtype, shape, ratio):
    name = "bert.encoder.layer.11.attention.self.query.weight"
    weights = {name: sparse(dtype, ratio, shape)}
    packed = pack(weights)
    if name + MASK in packed:
        assert stored_bytes(packed) < stored_bytes(weights)
    else:
        assert packed.keys() == weights.keys()


def test_to_format_converts_floating_point_numbers_alone():
    weights = {"w": torch.tensor([1.0, 1e-9]), "ids": torch.tensor([1, 2])}
    stored = to_format(weights, "float16")
    assert stored["w"].tolist() == [1.0, 0.0]
    assert stored["w"].dtype == torch.float16
    assert stored["ids"].dtype == torch.int64


@pytest.mark.parametrize("number_format", ["float32", "float16", "int8"])
def test_a_sparse_matrix_comes_back_from_any_format_with_its_zeros(number_format):
    weights = {"w": sparse(ratio=0.6), "b": torch.ones(24), "ids": torch.arange(24)}
    packed = pack(to_format(weights, number_format))
    assert "w" + MASK in packed
    again = from_format(unpack(packed))
    assert again.keys() == weights.keys()
    assert again["w"].dtype == torch.float32
    assert torch.equal(again["w"] == 0, weights["w"] == 0)
    assert torch.allclose(again["w"], weights["w"], atol=0.4)
    assert torch.equal(again["ids"], weights["ids"])


@pytest.mark.parametrize("shape", [[10**6, 10**6], [2**32, 2**32], [-8, -8], [4, 4]])
def test_a_shape_that_is_not_that_of_the_mask_is_refused_before_memory_is_taken(
    shape: list[int],
) -> None:
    packed = pack({"w": torch.eye(64)})
    assert packed["w" + SHAPE].tolist() == [64, 64]
    packed["w" + SHAPE] = torch.tensor(shape)
    with pytest.raises(ValueError, match="has 512 bytes of mask"):
        unpack(packed)
