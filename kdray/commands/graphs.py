"""A student of a sweep in ONNX, measured beside the torch model that it was made from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdray.data.dataset import Dataset
from kdray.data.tokenizing import encode
from kdray.errors import ConfigError
from kdray.evaluation.quality import quality
from kdray.exporting import OnnxFormat
from kdray.exporting.session import GRAPH, open_session, session_logits
from kdray.exporting.timing import timed_beside
from kdray.exporting.writing import export_student
from kdray.locations import past_config
from kdray.models.inference import FloatArray, predict_logits
from kdray.models.student import PACKED, Student
from kdray.reading import read_data
from kdray.reporting.reading import read_sweep
from kdray.results.folder import SweepFolder
from kdray.results.records import TrialResult

_SHOWN = ("macro_f1", "micro_f1", "accuracy", "auroc", "ece")
# A metric that is measured again on other data differs by more.
_SAME_DATA = 1e-3


def put_graph(
    folder: SweepFolder, result: TrialResult, student: Path, form: OnnxFormat
) -> dict[str, Any]:
    """Puts a graph in the place of a student's weights and measures it.

    Args:
        folder: The sweep's folder.
        result: The trial that made the student.
        student: A copy of the student's folder.
        form: The format.

    Returns:
        `format`, `inputs`, `size_mb`, `difference`; `stored_mb` of the weights and whether they
        are `sparse`; what `timed_beside` returns; `test`: metrics on test, each of the graph and of
        the torch model; `not_measured`: why there are none, else empty.

    Raises:
        ExportError: If the student cannot be written in ONNX as what it is.
    """
    trusted = read_sweep(folder)["config"]["teacher"].get("trust_remote_code") is True
    sparse = (student / PACKED).exists()
    exported = export_student(student, form, trusted)
    texts, reason = _test_texts(folder, exported.student, result)
    graph = student / GRAPH
    test = {} if texts is None else _on_test(exported.student, graph, texts)
    return {
        "format": form,
        "inputs": list(exported.inputs),
        "size_mb": exported.size_mb,
        "difference": exported.difference,
        "stored_mb": result.metrics["size_mb"],
        "sparse": sparse,
        **timed_beside(exported.student.model, graph, exported.probe if texts is None else texts),
        "test": test,
        "not_measured": reason,
    }


def _test_texts(
    folder: SweepFolder, student: Student, result: TrialResult
) -> tuple[Dataset | None, str]:
    """Returns the sweep's test set if it is still there, or why it is not measured on."""
    try:
        examples = read_data(past_config(folder)).examples["test"]
    except ConfigError as error:
        return None, str(error.problems[0])
    texts = encode(student.tokenizer, examples, student.max_length)
    found = _quality(student, texts, predict_logits(student.model, texts))
    if abs(found["macro_f1"] - result.metrics["test_macro_f1"]) > _SAME_DATA:
        return None, "the sweep's data are not what they were"
    return texts, ""


def _on_test(student: Student, graph: Path, texts: Dataset) -> dict[str, tuple[float, float]]:
    mine = _quality(student, texts, session_logits(open_session(graph), texts))
    torch = _quality(student, texts, predict_logits(student.model, texts))
    return {name: (mine[name], torch[name]) for name in _SHOWN if name in mine}


def _quality(student: Student, texts: Dataset, logits: FloatArray) -> Mapping[str, float]:
    return quality(logits, texts.targets, student.labels, student.thresholds)
