import pytest
import torch

from kdray.training.precision import autocast, resolve_precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("device", [CPU, CUDA], ids=str)
@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_a_named_precision_is_that_one_everywhere(name, device):
    assert resolve_precision(name, device) == getattr(torch, name)


@pytest.mark.parametrize(
    ("amx", "avx512", "expected"),
    [
        (True, False, torch.bfloat16),
        (False, True, torch.bfloat16),
        (False, False, torch.float32),
    ],
)
def test_auto_on_a_cpu_is_bfloat16_where_it_is_multiplied(amx, avx512, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    assert resolve_precision("auto", CPU) == expected


@pytest.mark.parametrize(("hardware", "expected"), [(True, torch.bfloat16), (False, torch.float16)])
def test_auto_on_a_gpu_is_half_precision_of_the_kind_it_has(hardware, expected, monkeypatch):
    # Emulated bfloat16, which torch counts as support unless told, is slower than float16.
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda including_emulation=True: hardware or including_emulation,
    )
    assert resolve_precision("auto", CUDA) == expected


@pytest.mark.parametrize(
    ("dtype", "computed"),
    [
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float16),
    ],
    ids=str,
)
def test_only_float16_is_cast_in_the_forward_pass(dtype, computed):
    layer = torch.nn.Linear(4, 4)
    cast = autocast(dtype, CPU)
    for _ in range(2):
        with cast():
            assert layer(torch.ones(1, 4)).dtype == computed
    assert layer.weight.dtype == torch.float32
