"""In which number format a forward pass computes."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch

from kdray.config.sections import Precision

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


def resolve_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """Returns the number format that `precision` means on this device.

    `auto` is bfloat16 where the hardware multiplies it (recent GPUs, CPUs with AMX or AVX512-BF16),
    float16 on older GPUs, else float32.
    """
    if precision != "auto":
        return _DTYPES[precision]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float16
    multiplied = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if multiplied else torch.float32


def autocast(
    dtype: torch.dtype, device: torch.device
) -> Callable[[], AbstractContextManager[None]]:
    """Returns what a forward pass runs under.

    Only float16 needs it, whose small range wants some operations in float32; for bfloat16 the
    weights themselves are rounded (see `FlatParameters`), which saves the casts.
    """
    if dtype != torch.float16:
        return nullcontext
    return lambda: torch.autocast(device.type, dtype)
