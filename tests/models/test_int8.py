import pytest
import torch

from kdray.models.int8 import SCALES, dequantised, quantised


def weights(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_row_is_divided_by_its_largest_weight_over_127_and_rounded():
    # Scales 2.54 / 127 = 0.02 and 12.7 / 127 = 0.1: 1 is 50 steps, 0.031 is 1.55, -1.27 is -12.7.
    matrix = torch.tensor([[2.54, 1.0, 0.031], [-1.27, 12.7, 0.0]])
    stored = quantised({"w": matrix})
    assert stored["w"].dtype == torch.int8
    assert stored["w"].tolist() == [[127, 50, 2], [-13, 127, 0]]
    assert stored["w" + SCALES].dtype == torch.float32
    assert stored["w" + SCALES].tolist() == pytest.approx([0.02, 0.1])
    again = dequantised(stored)["w"]
    assert torch.allclose(again, torch.tensor([[2.54, 1.0, 0.04], [-1.3, 12.7, 0.0]]))


def test_a_tensor_of_more_dimensions_has_a_scale_for_each_first_index():
    stored = quantised({"w": weights(3, 4, 5)})
    assert stored["w" + SCALES].shape == (3,)
    assert dequantised(stored)["w"].shape == (3, 4, 5)


def test_no_weight_moves_by_more_than_half_a_step():
    matrix = weights(64, 48)
    moved = (dequantised(quantised({"w": matrix}))["w"] - matrix).abs()
    assert (moved <= matrix.abs().amax(1, keepdim=True) / 127 * 0.5001).all()


def test_vectors_and_integers_stay_as_they_are():
    kept = {"bias": weights(7), "ids": torch.arange(6).reshape(2, 3), "scale": torch.tensor(0.5)}
    stored = quantised(kept)
    assert stored.keys() == kept.keys()
    assert all(torch.equal(stored[name], tensor) for name, tensor in kept.items())
    assert all(torch.equal(dequantised(stored)[name], tensor) for name, tensor in kept.items())


def test_zeros_stay_zeros_and_a_row_of_zeros_is_one_again():
    matrix = weights(4, 6) * torch.tensor([[1.0], [0.0], [1.0], [1.0]])
    matrix[:, ::2] = 0
    again = dequantised(quantised({"w": matrix}))["w"]
    assert not again[matrix == 0].any()
    assert again.isfinite().all()


@pytest.mark.parametrize("size", [1e-44, 1e-40, 1.0, 1e37])
def test_weights_at_the_ends_of_float32_stay_finite_and_keep_their_sign(size):
    matrix = weights(50, 9) * size
    again = dequantised(quantised({"w": matrix}))["w"]
    assert again.isfinite().all()
    assert ((again == 0) | (again.sign() == matrix.sign())).all()


def test_storing_what_was_stored_changes_nothing():
    first = quantised({"w": weights(20_000, 3), "bias": weights(3)})
    second = quantised(dequantised(first))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    "scales", [None, torch.ones(3), torch.ones(4, 1), torch.ones(4, dtype=torch.float64)]
)
def test_int8_values_without_a_scale_for_each_row_are_refused(scales):
    stored = quantised({"w": weights(4, 6)})
    del stored["w" + SCALES]
    damaged = stored if scales is None else stored | {"w" + SCALES: scales}
    with pytest.raises(ValueError, match="the int8 values of w do not have a scale for each row"):
        dequantised(damaged)
