"""Sparse weights on disk: one bit a place that says where a value is, and the values.

A tensor of n places with k values other than zero takes n/8 bytes and k values. Dense it takes n
values, so packing pays from 1/32 of zeros on in float32. What is not smaller packed stays dense.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

MASK, VALUES, SHAPE = ".packed_mask", ".packed_values", ".packed_shape"
FORMATS = {"float32": torch.float32, "float16": torch.float16}


def to_format(weights: Mapping[str, Tensor], number_format: str) -> dict[str, Tensor]:
    """Returns floating-point tensors in the number format to store; integers stay as they are."""
    target = FORMATS[number_format]
    return {
        name: (tensor.to(target) if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in weights.items()
    }


def pack(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns tensors with each sparse one replaced by bit mask, values and shape."""
    packed: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        flat = tensor.flatten()
        values = flat[flat != 0]
        saved = (flat.numel() - values.numel()) * flat.element_size()
        if saved <= flat.numel() / 8 + 8 * tensor.dim():
            packed[name] = tensor
            continue
        bits = np.packbits((flat != 0).numpy())
        packed[name + MASK] = torch.from_numpy(bits)
        packed[name + VALUES] = values.clone()
        packed[name + SHAPE] = torch.tensor(tensor.shape, dtype=torch.int64)
    return packed


def unpack(packed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns what `pack` was given."""
    weights: dict[str, Tensor] = {}
    for name, tensor in packed.items():
        if name.endswith(MASK):
            stem = name.removesuffix(MASK)
            shape = packed[stem + SHAPE].tolist()
            weights[stem] = _unpacked(tensor, packed[stem + VALUES], shape)
        elif not name.endswith((VALUES, SHAPE)):
            weights[name] = tensor
    return weights


def _unpacked(bits: Tensor, values: Tensor, shape: list[int]) -> Tensor:
    count = int(np.prod(shape))
    places = torch.from_numpy(np.unpackbits(bits.numpy(), count=count).astype(bool))
    flat = torch.zeros(count, dtype=values.dtype)
    flat[places] = values
    return flat.reshape(shape)
