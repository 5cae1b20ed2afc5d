"""What a model costs: parameters, multiply-accumulates, latency beside its teacher."""

import fcntl
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from kdray.models.outputs import forward, with_attentions

WARM_UP, ROUNDS = 5, 40


def count_parameters(model: nn.Module) -> dict[str, float]:
    """Returns `num_parameters`, and `nonzero_parameters`: those that are not exactly 0."""
    parameters = list(model.parameters())
    return {
        "num_parameters": float(sum(p.numel() for p in parameters)),
        "nonzero_parameters": float(sum(int(torch.count_nonzero(p)) for p in parameters)),
    }


def count_macs(model: nn.Module, inputs: Mapping[str, Tensor]) -> float:
    """Returns the multiply-accumulates of one forward pass: half of torch's count of FLOPs.

    Counted on the readable attention, because the fused one is opaque to the counter; a mask does
    not make them fewer.
    """
    config: Any = model.config
    readable = config._attn_implementation == "eager"
    counter = FlopCounterMode(display=False)
    try:
        with counter, torch.no_grad():
            forward(with_attentions(model, True), inputs)
    finally:
        with_attentions(model, readable)
    return counter.get_total_flops() / 2


def paired_latency(
    student: nn.Module, teacher: nn.Module, inputs: Mapping[str, Tensor]
) -> dict[str, float]:
    """Times one text through student and teacher in turn, on one thread, alone on this machine.

    Returns:
        `latency_ms` and `latency_p95_ms` of the student, and `speedup`: the median over rounds of
        teacher time / student time, which holds although the machine's speed drifts.
    """
    runs = {"student": student.eval(), "teacher": teacher.eval()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    with _alone(), _one_thread(), torch.inference_mode():
        for turn in range(WARM_UP + ROUNDS):
            for name, model in runs.items():
                seconds = _timed(lambda model=model: forward(model, inputs), inputs)
                if turn >= WARM_UP:
                    times[name].append(seconds * 1000)
    ratio = np.asarray(times["teacher"]) / np.asarray(times["student"])
    return {
        "latency_ms": float(np.median(times["student"])),
        "latency_p95_ms": float(np.percentile(times["student"], 95)),
        "speedup": float(np.median(ratio)),
    }


def _timed(call: Callable[[], object], inputs: Mapping[str, Tensor]) -> float:
    on_gpu = any(tensor.is_cuda for tensor in inputs.values())
    start = time.perf_counter()
    call()
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - start


@contextmanager
def _alone() -> Iterator[None]:
    """Waits until no other trial on this machine measures."""
    with (Path(tempfile.gettempdir()) / "kdray-latency.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
