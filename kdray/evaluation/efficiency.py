"""What a model costs: parameters, multiply-accumulates, latency beside its teacher, throughput."""

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from kdray.data.batches import make_batch
from kdray.data.dataset import Dataset
from kdray.models.outputs import forward, torch_threads, with_attentions

WARM_UP, ROUNDS, FEWEST = 5, 40, 10
BATCH_SIZE, BATCHES, PASSES = 32, 3, 3
# While one trial measures, the others on its machine that want to have to wait.
BUDGET_S = 1.0
PATIENCE_S, LOOK_S = 60.0, 0.02

# Does something once, and returns how many seconds it took.
Timed = Callable[[], float]


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
    """Times one text through student and teacher in turn, as `timed_in_turn` does.

    Args:
        student: One model.
        teacher: The other.
        inputs: The text.
        teacher_inputs: The text as the teacher's tokenizer has it; None: the same.
        others: Further members of an ensemble, each with the text as it has it: their time is
            added to the teacher's.

    Returns:
        `latency_ms` and `latency_p95_ms` of the student, and `speedup`: the median over rounds of
        teacher time / student time, which holds although the machine's speed drifts.
    """
    teacher_inputs = inputs if teacher_inputs is None else teacher_inputs
    teachers = [(teacher.eval(), teacher_inputs), *((one.eval(), text) for one, text in others)]
    student = student.eval()
    with torch.inference_mode():
        times = timed_in_turn(
            {
                "student": lambda: _seconds(student, inputs),
                "teacher": lambda: sum(_seconds(model, text) for model, text in teachers),
            }
        )
    return {
        "latency_ms": 1000 * float(np.median(times["student"])),
        "latency_p95_ms": 1000 * float(np.percentile(times["student"], 95)),
        "speedup": float(np.median(times["teacher"] / times["student"])),
    }


def timed_in_turn(runs: Mapping[str, Timed]) -> dict[str, npt.NDArray[np.float64]]:
    """Times runs in turn after warm-up, on one thread, alone on this machine.

    There are 40 rounds, or fewer of what is slow: from the tenth on it ends once all rounds
    together took a second. The warm-up is 5 rounds, or fewer that took a fifth of that.

    Args:
        runs: By name what does something once and returns how many seconds it took.

    Returns:
        By name the seconds in each round.
    """
    rounds: list[dict[str, float]] = []

    def once() -> float:
        rounds.append({name: run() for name, run in runs.items()})
        return sum(rounds[-1].values())

    with alone(), torch_threads(1):
        _repeated(once, 1, WARM_UP, BUDGET_S / 5)
        rounds.clear()
        _repeated(once, FEWEST, ROUNDS, BUDGET_S)
    return {name: np.asarray([one[name] for one in rounds]) for name in runs}


def throughput(model: nn.Module, dataset: Dataset) -> dict[str, float]:
    """Times batches of 32 texts, on one thread, alone on this machine.

    There are three, of texts whose lengths are spread evenly over those of the dataset, each batch
    of similar length as in `predict`. All are run three times, or fewer of a slow model: it ends
    once they took a second. The fastest run of each counts: what else a machine does makes a pass
    slower, never faster.

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
    passes: list[list[float]] = []

    def once() -> float:
        passes.append([_seconds(model, batch.inputs) for batch in batches])
        return sum(passes[-1])

    with alone(), torch_threads(1), torch.inference_mode():
        _repeated(once, 1, PASSES, BUDGET_S)
    return {"throughput": BATCH_SIZE * BATCHES / sum(map(min, zip(*passes, strict=True)))}


def _repeated(once: Timed, least: int, most: int, budget_s: float) -> None:
    """Does something until the seconds that it returns are used up, but so many times at least."""
    spent, times = 0.0, 0
    while times < most and (times < least or spent < budget_s):
        spent += once()
        times += 1


def _seconds(model: nn.Module, inputs: Mapping[str, Tensor]) -> float:
    start = time.perf_counter()
    forward(model, inputs)
    if any(tensor.is_cuda for tensor in inputs.values()):
        torch.cuda.synchronize()
    return time.perf_counter() - start


@contextmanager
def alone() -> Iterator[None]:
    """Waits until no other trial of this user on this machine measures.

    One that does so for a minute hangs, or is too slow to be waited for: it is not.
    """
    name = f"kdray-latency-{os.getuid()}.lock"
    with (Path(tempfile.gettempdir()) / name).open("a+") as lock:
        if _is_ours(lock):
            lock.truncate(0)
            lock.write(f"{os.getpid()} {time.monotonic_ns()}")
            lock.flush()
        yield


def _is_ours(lock: TextIO) -> bool:
    """Waits for a lock; returns whether it came, and not just a minute of one and the same holder.

    Many that are waiting may take turns for longer than that.
    """
    holder, since = "", time.monotonic()
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            lock.seek(0)
            found = lock.read()
        if found != holder:
            holder, since = found, time.monotonic()
        if time.monotonic() - since > PATIENCE_S:
            return False
        time.sleep(LOOK_S)
