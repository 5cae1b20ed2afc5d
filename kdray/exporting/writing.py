"""A student's folder in ONNX: graph, configuration, tokenizer and card."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdray.data.dataset import Dataset
from kdray.errors import ExportError
from kdray.exporting import OnnxFormat
from kdray.exporting.graph import quiet, write_graph
from kdray.exporting.probing import probe_dataset
from kdray.exporting.session import GRAPH
from kdray.models.student import CARD, PACKED, PLAIN, Student, load_student

TOKENIZER = "tokenizer.json"
_INFERENCE: Mapping[OnnxFormat, str] = {
    "onnx": "stored as float32 with every zero, computed in float32 by onnxruntime",
    "onnx-int8": (
        "stored with its matrices as int8 (7 of the 8 bits) and a float32 scale a column; "
        "onnxruntime rounds what is multiplied with them to 8 bits too, on one scale a batch"
    ),
}


@dataclass(frozen=True)
class Exported:
    """A student in ONNX.

    Attributes:
        student: The torch student that it was made from.
        probe: Texts of several lengths, on which the two were compared.
        inputs: What the graph takes.
        size_mb: Size of the graph's file in MB (10^6 bytes).
        difference: Largest difference of a logit between the float32 graph and the torch model.
    """

    student: Student
    probe: Dataset
    inputs: tuple[str, ...]
    size_mb: float
    difference: float


def export_student(folder: Path, form: OnnxFormat, trust_remote_code: bool = False) -> Exported:
    """Puts a graph in the place of a stored student's weights.

    onnxruntime and tokenizers alone can use the folder then: `tokenizer.json` cuts and pads by
    itself, `kdray.json` has labels and thresholds.

    Args:
        folder: The student's folder.
        form: `onnx`, or `onnx-int8` for dynamic quantisation.
        trust_remote_code: Whether Python code in the folder may run.

    Raises:
        ExportError: If the graph is not what the student is, or only Python can read texts for it.
    """
    if not (folder / TOKENIZER).is_file():
        raise ExportError(f"the student has no {TOKENIZER}: only Python can read texts for it")
    student = load_student(folder, trust_remote_code)
    probe = probe_dataset(student, len(_text_columns(student.card)) > 1)
    difference = write_graph(student, probe, folder / GRAPH)
    if form == "onnx-int8":
        _quantise(folder / GRAPH)
    for weights in (PLAIN, PACKED):
        (folder / weights).unlink(missing_ok=True)
    _complete_card(folder / CARD, form)
    _complete_tokenizer(student, folder / TOKENIZER)
    size_mb = (folder / GRAPH).stat().st_size / 1e6
    inputs = (*probe.columns, *([probe.mask] if probe.mask else []))
    return Exported(student, probe, inputs, size_mb, difference)


def _text_columns(card: Mapping[str, Any]) -> list[str]:
    columns: list[str] = card.get("columns", {}).get("text", ["text"])
    return columns


def _quantise(graph: Path) -> None:
    """Rounds the matrices of a graph to int8, in place.

    Seven of the eight bits are used: on processors without VNNI the sum of two products of all
    eight does not fit.
    """
    from onnxruntime.quantization import quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    ready, rounded = graph.with_suffix(".ready"), graph.with_suffix(".int8")
    with quiet():
        quant_pre_process(graph, ready, skip_symbolic_shape=True)
        quantize_dynamic(ready, rounded, per_channel=True, reduce_range=True)
    ready.unlink()
    rounded.replace(graph)


def _complete_card(file: Path, form: OnnxFormat) -> None:
    card = json.loads(file.read_text(encoding="utf-8"))
    card |= {"format": form, "inference": _INFERENCE[form]}
    file.write_text(json.dumps(card, indent=2, ensure_ascii=False), encoding="utf-8")


def _complete_tokenizer(student: Student, file: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer, known = Tokenizer.from_file(str(file)), student.tokenizer
    tokenizer.enable_truncation(student.max_length)
    tokenizer.enable_padding(pad_id=known.pad_token_id or 0, pad_token=known.pad_token or "[PAD]")
    tokenizer.save(str(file))
