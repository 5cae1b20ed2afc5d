"""`kdray evaluate` and `kdray predict`: a stored student on a file."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from kdray.commands.fronts import print_metrics
from kdray.commands.reading import Asked, labelled_examples, unlabelled_texts
from kdray.commands.speaking import print_json
from kdray.data.base import Examples
from kdray.data.dataset import subset
from kdray.data.tokenizing import encode
from kdray.errors import ConfigError, Problem
from kdray.evaluation.quality import quality
from kdray.exporting.reading import Stored, open_student
from kdray.models.inference import FloatArray, decide, probabilities
from kdray.results.folder import write_text
from kdray.results.writable import file_problems
from kdray.waiting import each, shown_on

_AT_ONCE = 512


def evaluate_student(asked: Asked, as_json: bool) -> None:
    """Prints quality and calibration of a student on a file with labels.

    Raises:
        ConfigError: If the student cannot be loaded, or the file does not fit it.
    """
    stored = open_student(asked.student, asked.trust_remote_code)
    examples = labelled_examples(asked, stored)
    metrics = quality(_logits(stored, examples), examples.targets, stored.labels, stored.thresholds)
    found = {
        "student": str(asked.student),
        "file": asked.file,
        "examples": len(examples),
        "thresholds": dict(zip(stored.labels.names, stored.thresholds, strict=False)),
        "never_occur": _never_occur(stored, examples),
        "metrics": metrics,
    }
    if as_json:
        print_json(found)
    else:
        _print_quality(found, Console())


def predict_student(asked: Asked, output: Path | None, as_json: bool) -> None:
    """Prints or writes what a student says of each text: decisions and probabilities.

    Raises:
        ConfigError: If the student cannot be loaded, the file does not fit it, or what is said
            cannot be written where it is wanted.
    """
    if output is not None and output.suffix != ".csv":
        raise ConfigError([Problem("--output", f"must end in .csv, but got {output}")])
    if output is not None and (problems := file_problems("--output", output)):
        raise ConfigError(problems)
    stored = open_student(asked.student, asked.trust_remote_code)
    columns, examples = unlabelled_texts(asked, stored)
    scores = probabilities(_logits(stored, examples), stored.labels.kind == "multi_label")
    table = _predictions(stored, scores)
    texts = pd.DataFrame(list(examples.texts), columns=list(columns), dtype=object)
    written = pd.concat([texts, table], axis=1).to_csv(index=False, lineterminator="\n")
    if output is not None:
        write_text(output, written)
    if as_json:
        print_json(_records(stored, examples, scores))
    elif output is None:
        sys.stdout.write(written)


def _logits(stored: Stored, examples: Examples) -> FloatArray:
    """Returns the logits of all examples, shortest first, so that batches are of one length."""
    dataset = encode(stored.tokenizer, examples, stored.max_length)
    order = np.argsort(dataset.lengths, kind="stable")
    parts = np.array_split(order, range(_AT_ONCE, len(order), _AT_ONCE))
    logits = np.empty((len(examples), len(stored.labels.names)), np.float32)
    with shown_on(Console(stderr=True)):
        for rows in each("the student reads", parts):
            logits[rows] = stored.logits(subset(dataset, rows))
    return logits


def _never_occur(stored: Stored, examples: Examples) -> list[str]:
    """Returns the labels that no example has: their F1 is 0, whoever is asked."""
    names = stored.labels.names
    if stored.labels.kind == "multi_label":
        counts = examples.targets.sum(0)
    else:
        counts = np.bincount(examples.targets.astype(np.int64), minlength=len(names))
    return [name for name, count in zip(names, counts, strict=True) if not count]


def _print_quality(found: Mapping[str, Any], console: Console) -> None:
    console.print(
        f"{found['examples']:,} examples of {found['file']}", highlight=False, soft_wrap=True
    )
    print_metrics(found["metrics"], console)
    changed = {name: value for name, value in found["thresholds"].items() if value != 0.5}
    if changed:
        said = ", ".join(f"{name} {value:.3g}" for name, value in changed.items())
        console.print(f"thresholds: {said}; others 0.5", highlight=False, soft_wrap=True)
    if found["never_occur"]:
        names = ", ".join(found["never_occur"])
        message = f"no example has {names}: F1 counts 0 there, which lowers macro-F1"
        console.print(message, highlight=False, soft_wrap=True)


def _predictions(stored: Stored, scores: FloatArray) -> pd.DataFrame:
    """Returns decisions in the columns of labelled data, then probabilities."""
    labels, decided = stored.labels, decide(scores, stored.labels, stored.thresholds)
    likely = pd.DataFrame(scores, columns=[f"probability_{name}" for name in labels.names])
    if labels.kind == "multi_label":
        return pd.concat([pd.DataFrame(decided, columns=list(labels.names)), likely], axis=1)
    column = stored.card.get("columns", {}).get("labels", "label")
    names = [labels.names[index] for index in decided]
    return pd.concat([pd.DataFrame({column: names}), likely], axis=1)


def _records(stored: Stored, examples: Examples, scores: FloatArray) -> list[dict[str, Any]]:
    labels, names = stored.labels, stored.labels.names
    decided = decide(scores, labels, stored.thresholds)
    single = labels.kind == "single_label"
    given = decided[:, None] == np.arange(len(names)) if single else decided.astype(bool)
    return [
        {
            "text": text[0] if len(text) == 1 else list(text),
            "labels": [name for name, is_given in zip(names, row, strict=True) if is_given],
            "probabilities": {name: float(p) for name, p in zip(names, likely, strict=True)},
        }
        for text, row, likely in zip(examples.texts, given, scores, strict=True)
    ]
