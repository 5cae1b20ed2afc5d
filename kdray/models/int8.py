"""Weights as int8 with one scale a row: stored small, computed with in float.

Row i of a matrix becomes round(w / sᵢ) with sᵢ = max|wᵢ| / 127, so zeros stay zeros and the largest
weight of a row loses nothing. A bias or a norm is small and stays as it is.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

SCALES, LARGEST = ".int8_scales", 127


def quantised(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns weights with each matrix replaced by int8 values and, under its own name, scales.

    Args:
        weights: Floating-point numbers are quantised where they have two dimensions or more, a row
            being what the first one counts; other vectors become float32, integers stay.
    """
    stored: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if tensor.is_floating_point() and tensor.dim() > 1:
            stored[name], stored[name + SCALES] = _quantised(tensor.float())
        else:
            stored[name] = tensor.float() if tensor.is_floating_point() else tensor
    return stored


def dequantised(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the weights that `quantised` has stored, in float32; what is not int8 stays.

    Raises:
        ValueError: If a matrix has no scales, or not one a row.
    """
    weights: dict[str, Tensor] = {}
    for name, tensor in stored.items():
        if tensor.dtype == torch.int8:
            weights[name] = _dequantised(name, tensor, stored.get(name + SCALES))
        elif not name.endswith(SCALES):
            weights[name] = tensor
    return weights


def _quantised(matrix: Tensor) -> tuple[Tensor, Tensor]:
    scales = matrix.flatten(1).abs().amax(1) / LARGEST
    steps = matrix / _by_row(scales, matrix)
    # A row of zeros has no scale; under one that float32 can hardly hold, steps may be too many.
    whole = steps.nan_to_num(0.0, 0.0, 0.0).round().clamp(-LARGEST, LARGEST)
    return whole.to(torch.int8), scales


def _dequantised(name: str, values: Tensor, scales: Tensor | None) -> Tensor:
    if scales is None or scales.dtype != torch.float32 or scales.shape != values.shape[:1]:
        raise ValueError(f"the int8 values of {name} do not have a scale for each row")
    return values.float() * _by_row(scales, values)


def _by_row(scales: Tensor, matrix: Tensor) -> Tensor:
    return scales.reshape(-1, *[1] * (matrix.dim() - 1))
