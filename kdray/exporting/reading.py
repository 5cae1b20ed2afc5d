"""Stored students of any format, ready to be run on a dataset."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kdray.data.base import Labels
from kdray.data.dataset import Dataset
from kdray.errors import ConfigError, KdrayError, Problem
from kdray.exporting.graph import missing_packages
from kdray.exporting.session import GRAPH, open_session, session_logits
from kdray.models.inference import FloatArray, predict_logits
from kdray.models.outputs import best_device
from kdray.models.student import CARD, load_student


@dataclass(frozen=True)
class Stored:
    """A student with what is needed to use it, however it computes.

    Attributes:
        logits: Returns the logits of a dataset, (examples, labels).
        tokenizer: Its tokenizer.
        labels: What it predicts.
        max_length: Tokens a text.
        thresholds: As in `Student`.
        card: What else its card holds.
    """

    logits: Callable[[Dataset], FloatArray]
    tokenizer: Any
    labels: Labels
    max_length: int
    thresholds: tuple[float, ...]
    card: Mapping[str, Any]


def open_student(folder: Path, trust_remote_code: bool = False) -> Stored:
    """Returns the student in a folder, in kdray's format or in ONNX.

    Args:
        folder: Its folder: `runs/NAME/students/ID`, or what `kdray best --output` wrote.
        trust_remote_code: Whether Python code in the folder may run.

    Raises:
        ConfigError: If the folder holds no student, or one that cannot be loaded.
    """
    if not (folder / CARD).is_file():
        raise ConfigError(
            [Problem(str(folder), f"holds no student: it has no {CARD}{_instead(folder)}")]
        )
    exported = (folder / GRAPH).is_file()
    problems = missing_packages(str(folder)) if exported else []
    if problems:
        raise ConfigError(problems)
    try:
        return _open_graph(folder) if exported else _open_weights(folder, trust_remote_code)
    except KdrayError:
        raise
    except Exception as error:  # a damaged folder makes transformers raise many kinds
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ConfigError([Problem(str(folder), f"cannot be loaded: {reason}")]) from error


def _open_weights(folder: Path, trusted: bool) -> Stored:
    student = load_student(folder, trusted)
    return Stored(
        partial(predict_logits, student.model.to(best_device())),
        student.tokenizer,
        student.labels,
        student.max_length,
        student.thresholds,
        student.card,
    )


def _open_graph(folder: Path) -> Stored:
    from transformers import AutoTokenizer

    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    return Stored(
        partial(session_logits, open_session(folder / GRAPH)),
        AutoTokenizer.from_pretrained(folder),
        Labels(tuple(card["labels"]), card["kind"]),
        card["max_length"],
        tuple(card["thresholds"]),
        card,
    )


def _instead(folder: Path) -> str:
    """Returns which folders to name where that of a whole sweep was named."""
    students = sorted(path for path in (folder / "students").glob("[!.]*") if path.is_dir())
    if students:
        return f"; name one of the sweep's students, such as {students[0]}"
    return "; name runs/NAME/students/ID, or a folder that `kdray best --output` wrote"
