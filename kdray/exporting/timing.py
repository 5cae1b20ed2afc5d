"""How fast an ONNX graph is beside the torch model that it was made from."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kdray.data.dataset import Dataset
from kdray.evaluation.efficiency import ROUNDS, WARM_UP, alone
from kdray.evaluation.measure import probe_inputs
from kdray.exporting.session import LOGITS, open_session
from kdray.models.outputs import forward, torch_threads


def timed_beside(model: Any, graph: Path, dataset: Dataset) -> dict[str, float]:
    """Times one text through graph and model in turn, on one thread, alone on this machine.

    Args:
        model: The torch model, on the CPU.
        graph: Its ONNX graph.
        dataset: Where the text is from: it is as long as 95 % of the examples are at most.

    Returns:
        `latency_ms` of the graph, `torch_latency_ms`, `speedup`: the median over rounds of torch
        time / ONNX time, and `tokens`: how long the text is.
    """
    inputs = probe_inputs(dataset, torch.device("cpu"))
    feed = {name: tensor.numpy() for name, tensor in inputs.items()}
    runs: dict[str, Callable[[], object]] = {
        "onnx": partial(open_session(graph, threads=1).run, [LOGITS], feed),
        "torch": partial(forward, model.eval(), inputs),
    }
    times = {name: np.empty(ROUNDS) for name in runs}
    with alone(), torch_threads(1), torch.inference_mode():
        for turn in range(-WARM_UP, ROUNDS):
            for name, run in runs.items():
                milliseconds = _milliseconds(run)
                if turn >= 0:
                    times[name][turn] = milliseconds
    return {
        "latency_ms": float(np.median(times["onnx"])),
        "torch_latency_ms": float(np.median(times["torch"])),
        "speedup": float(np.median(times["torch"] / times["onnx"])),
        "tokens": float(next(iter(feed.values())).shape[1]),
    }


def _milliseconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - start)
