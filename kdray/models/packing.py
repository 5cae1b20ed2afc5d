"""Weights on disk: their number format, and sparse ones as a bit a place and the values.

A matrix of n places with k values other than zero takes n/8 bytes and k values. Dense it takes n
values, so packing pays from 1/32 of zeros on in float32, from 1/8 on in int8. What is not smaller
packed stays dense, and so do vectors: they are small, never pruned, and a fresh bias is all zeros.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from kdray.models.int8 import dequantised, quantised

MASK, VALUES, SHAPE = ".packed_mask", ".packed_values", ".packed_shape"
FORMATS = {"float32": torch.float32, "float16": torch.float16}
INT8 = "int8"
HEADER_BYTES = 320  # two more entries in the file's header, under a long name, and the shape


def to_format(weights: Mapping[str, Tensor], number_format: str) -> dict[str, Tensor]:
    """Returns floating-point tensors in the number format to store; integers stay as they are.

    In int8 a matrix has its scales beside it, so there are more tensors.
    """
    if number_format == INT8:
        stored = quantised(weights)
    else:
        target = FORMATS[number_format]
        stored = {n: t.to(target) if t.is_floating_point() else t for n, t in weights.items()}
    return {name: tensor.contiguous() for name, tensor in stored.items()}


def from_format(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns what `to_format` was given, rounded by it, to compute with in float32.

    Raises:
        ValueError: If int8 values lack their scales.
    """
    weights = dequantised(stored)
    return {n: t.float() if t.is_floating_point() else t for n, t in weights.items()}


def pack(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns tensors with each sparse matrix replaced by bit mask, values and shape."""
    packed: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        packed |= _packed(name, tensor) if _pays(tensor) else {name: tensor}
    return packed


def unpack(packed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns what `pack` was given.

    Raises:
        ValueError: If a shape is not that of its mask: a small file could ask for any memory.
    """
    weights: dict[str, Tensor] = {}
    for name, tensor in packed.items():
        if name.endswith(MASK):
            stem = name.removesuffix(MASK)
            shape = packed[stem + SHAPE].tolist()
            weights[stem] = _unpacked(tensor, packed[stem + VALUES], shape)
        elif not name.endswith((VALUES, SHAPE)):
            weights[name] = tensor
    return weights


def _pays(tensor: Tensor) -> bool:
    zeros = tensor.numel() - int(torch.count_nonzero(tensor))
    return tensor.dim() > 1 and zeros * tensor.element_size() > tensor.numel() / 8 + HEADER_BYTES


def _packed(name: str, tensor: Tensor) -> dict[str, Tensor]:
    flat = tensor.flatten()
    places = flat != 0
    return {
        name + MASK: torch.from_numpy(np.packbits(places.numpy())),
        name + VALUES: flat[places],
        name + SHAPE: torch.tensor(tensor.shape, dtype=torch.int64),
    }


def _unpacked(bits: Tensor, values: Tensor, shape: list[int]) -> Tensor:
    count = math.prod(shape)
    if min(shape, default=0) < 0 or -(-count // 8) != bits.numel():
        raise ValueError(f"a packed tensor of shape {shape} has {bits.numel()} bytes of mask")
    places = torch.from_numpy(np.unpackbits(bits.numpy(), count=count).astype(bool))
    flat = torch.zeros(count, dtype=values.dtype)
    flat[places] = values
    return flat.reshape(shape)
