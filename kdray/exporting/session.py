"""An ONNX graph at work: its logits of a dataset."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from kdray.data.batches import POSITIONS, sorted_batches
from kdray.data.dataset import Dataset
from kdray.models.inference import FloatArray

GRAPH, LOGITS = "model.onnx", "logits"


def open_session(file: Path, threads: int = 0) -> Any:
    """Returns onnxruntime's session of a graph, on the CPU.

    Args:
        file: The graph.
        threads: How many threads compute; 0 for as many as there are cores.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def session_logits(session: Any, dataset: Dataset, positions: int = POSITIONS) -> FloatArray:
    """Returns the logits of every example, (examples, labels), in dataset order.

    Args:
        session: See `open_session`.
        dataset: The examples.
        positions: Tokens of a batch at most; a longer example stands alone.
    """
    parts, rows = [], []
    for batch in sorted_batches(dataset, torch.device("cpu"), positions):
        feed = {name: tensor.numpy() for name, tensor in batch.inputs.items()}
        parts.append(session.run([LOGITS], feed)[0])
        rows.append(batch.rows)
    logits: FloatArray = np.concatenate(parts)[np.argsort(np.concatenate(rows))]
    return logits
