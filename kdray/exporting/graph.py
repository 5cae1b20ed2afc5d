"""A student's model as an ONNX graph, checked against the model that it was made from.

The graph takes what the tokenizer gives, for any number of texts of any length, and returns
`logits`. Masks and number formats are a matter of storage: in the graph all weights are there,
zeros too, in float32.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kdray.data.batches import sorted_batches
from kdray.data.dataset import Dataset
from kdray.errors import ExportError, Problem
from kdray.exporting.session import LOGITS, open_session, session_logits
from kdray.models.inference import predict_logits
from kdray.models.student import Student

# Of a logit between the graph and the model.
TOLERANCE = 1e-4
_NEEDED = ("onnx", "onnxruntime", "onnxscript")


def missing_packages(where: str) -> list[Problem]:
    """Returns what to say where the packages for ONNX are not installed; else nothing.

    Args:
        where: The option that asks for them.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if not missing:
        return []
    message = f'needs {", ".join(missing)}, not installed here; `pip install "kdray[onnx]"`'
    return [Problem(where, message)]


def write_graph(student: Student, probe: Dataset, file: Path) -> float:
    """Writes a student's model as an ONNX graph whose batch and length are free.

    Args:
        student: The student, on the CPU.
        probe: Examples of several lengths, on which graph and model are compared.
        file: Where the graph goes.

    Returns:
        The largest difference of a logit, over the probe in one batch (padded) and one by one.

    Raises:
        ExportError: If the model cannot be written as a graph, or the graph says something else.
    """
    batch = next(sorted_batches(probe, torch.device("cpu"), _all_at_once(probe)))
    try:
        with quiet(), torch.no_grad():
            _export(student, batch.inputs, file)
    except Exception as error:  # what stops a model from being traced has many names
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ExportError(f"the student cannot be written as ONNX: {reason}") from error
    difference = _largest_difference(student, probe, file)
    if not difference <= TOLERANCE:
        file.unlink()
        raise ExportError(
            f"the ONNX graph differs from the student by {difference:.2g} in a logit; at most "
            f"{TOLERANCE:g} is allowed, so it is not written"
        )
    return difference


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps what the exporters say of their own insides from the user."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(before)


class _Logits(nn.Module):
    """A classifier that takes tensors by place and returns nothing but logits."""

    def __init__(self, classifier: Any, names: Sequence[str]) -> None:
        super().__init__()
        self.classifier, self.names = classifier, names

    def forward(self, *tensors: Tensor) -> Tensor:
        logits: Tensor = self.classifier(**dict(zip(self.names, tensors, strict=True))).logits
        return logits


def _export(student: Student, inputs: Mapping[str, Tensor], file: Path) -> None:
    free = {
        0: torch.export.Dim("batch", min=1),
        1: torch.export.Dim("length", min=1, max=student.max_length),
    }
    torch.onnx.export(
        _Logits(student.model.eval(), list(inputs)).eval(),
        tuple(inputs.values()),
        file,
        input_names=list(inputs),
        output_names=[LOGITS],
        dynamic_shapes=(tuple(free for _ in inputs),),
        external_data=False,
        verbose=False,
    )


def _all_at_once(probe: Dataset) -> int:
    return len(probe) * int(probe.lengths.max())


def _largest_difference(student: Student, probe: Dataset, file: Path) -> float:
    session, wanted = open_session(file), predict_logits(student.model, probe)
    found = [session_logits(session, probe, p) for p in (_all_at_once(probe), 1)]
    return float(max(np.abs(logits - wanted).max() for logits in found))
