"""How fast an ONNX graph is beside the torch model that it was made from."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kdray.data.dataset import Dataset
from kdray.evaluation.efficiency import timed_in_turn
from kdray.evaluation.measure import probe_inputs
from kdray.exporting.session import LOGITS, open_session
from kdray.models.outputs import forward


def timed_beside(model: Any, graph: Path, dataset: Dataset) -> dict[str, float]:
    """Times one text through graph and model in turn, as `timed_in_turn` does.

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
    with torch.inference_mode():
        times = timed_in_turn({name: partial(_seconds, run) for name, run in runs.items()})
    return {
        "latency_ms": 1000 * float(np.median(times["onnx"])),
        "torch_latency_ms": 1000 * float(np.median(times["torch"])),
        "speedup": float(np.median(times["torch"] / times["onnx"])),
        "tokens": float(next(iter(feed.values())).shape[1]),
    }


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
