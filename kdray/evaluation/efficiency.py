"""What a model costs: parameters, multiply-accumulates, latency beside its teacher, throughput."""

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from kdray.data.batches import make_batch
from kdray.data.dataset import Dataset
from kdray.models.inference import FloatArray
from kdray.models.outputs import forward, torch_threads, with_attentions

WARM_UP, ROUNDS = 5, 40
BATCH_SIZE, BATCHES, PASSES = 32, 3, 3


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
    not make them fewer. The model is left as it was.
    """
    config: Any = model.config
    readable, training = config._attn_implementation != "sdpa", model.training
    counter = _FlopCounter()
    try:
        with torch.no_grad(), counter:
            forward(with_attentions(model.eval(), True), inputs)
    finally:
        with_attentions(model, readable).train(training)
    return counter.flops / 2


class _FlopCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch gives no types
    """Adds up torch's formula for each operation that has one.

    `FlopCounterMode` tells modules apart as well, which costs several forward passes.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch gives no types
        self.flops = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=result)
        return result


def paired_latency(
    student: nn.Module,
    teacher: nn.Module,
    inputs: Mapping[str, Tensor],
    teacher_inputs: Mapping[str, Tensor] | None = None,
    others: Sequence[tuple[nn.Module, Mapping[str, Tensor]]] = (),
) -> dict[str, float]:
    """Times one text through student and teacher in turn, on one thread, alone on this machine.

    Args:
        student: One model.
        teacher: The other.
        inputs: The text.
        teacher_inputs: The text as the teacher's tokenizer has it; None: the same.
        others: Further members of an ensemble, each with the text as it has it: their time is
            added to the teacher's.

    Returns:
        `latency_ms` (median) and `latency_p95_ms` of the student, `teacher_latency_ms` (median of
        the same rounds), and `speedup`: see `speed_ratio`.
    """
    teacher_inputs = inputs if teacher_inputs is None else teacher_inputs
    teachers = [(teacher, teacher_inputs), *others]
    ready = [(model.eval(), text) for model, text in teachers]
    mine, its = timed_in_turn(
        lambda: _seconds(student.eval(), inputs),
        lambda: sum(_seconds(model, text) for model, text in ready),
    )
    return {
        "latency_ms": float(np.median(mine)),
        "latency_p95_ms": float(np.percentile(mine, 95)),
        "teacher_latency_ms": float(np.median(its)),
        "speedup": speed_ratio(its, mine),
    }


def timed_in_turn(*runs: Callable[[], float]) -> list[FloatArray]:
    """Times functions in turn, on one thread, alone on this machine, after a warm-up.

    Args:
        runs: Each returns the seconds that it took.

    Returns:
        The milliseconds of each in every round.
    """
    with alone(), torch_threads(1), torch.inference_mode():
        rounds = [[run() for run in runs] for _ in range(WARM_UP + ROUNDS)]
    return list(1000 * np.asarray(rounds[WARM_UP:]).T)


def speed_ratio(slower: FloatArray, faster: FloatArray) -> float:
    """Returns how many times as fast the second of two is that were timed in turn.

    It is told by the fastest round of each: what else a machine does makes a round slower, never
    faster, and lasts too long to meet both alike.
    """
    return float(slower.min() / faster.min())


def throughput(model: nn.Module, dataset: Dataset) -> dict[str, float]:
    """Times batches of 32 texts, on one thread, alone on this machine.

    There are three, of texts whose lengths are spread evenly over those of the dataset, each batch
    of similar length as in `predict`. Each is run three times, of which the fastest counts: what
    else a machine does makes a pass slower, never faster.

    Args:
        model: The model, whose device is taken.
        dataset: Where the texts are from; one with fewer than 96 gives some of them twice.

    Returns:
        `throughput`: texts a second.
    """
    device, model = next(model.parameters()).device, model.eval()
    order = np.argsort(dataset.lengths, kind="stable")
    spread = np.linspace(0, len(order) - 1, BATCH_SIZE * BATCHES).round().astype(np.int64)
    batches = [make_batch(dataset, rows, device) for rows in np.split(order[spread], BATCHES)]
    with alone(), torch_threads(1), torch.inference_mode():
        fastest = [min(_seconds(model, b.inputs) for _ in range(PASSES)) for b in batches]
    return {"throughput": BATCH_SIZE * BATCHES / sum(fastest)}


def _seconds(model: nn.Module, inputs: Mapping[str, Tensor]) -> float:
    start = time.perf_counter()
    forward(model, inputs)
    if any(tensor.is_cuda for tensor in inputs.values()):
        torch.cuda.synchronize()
    return time.perf_counter() - start


@contextmanager
def alone() -> Iterator[None]:
    """Waits until no other trial of this user on this machine measures."""
    name = f"kdray-latency-{os.getuid()}.lock"
    with (Path(tempfile.gettempdir()) / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
