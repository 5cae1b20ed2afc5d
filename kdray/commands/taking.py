"""Copying a student out of its sweep: weights or an ONNX graph, tokenizer, thresholds, card."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdray.errors import Problem
from kdray.exporting import Format
from kdray.results.folder import SweepFolder, written_whole
from kdray.results.records import TrialResult
from kdray.results.writable import folder_problems

README = "README.md"


@dataclass(frozen=True)
class Leaving:
    """A student that leaves its sweep.

    Attributes:
        folder: The sweep's folder, where the student is stored.
        result: The trial that made it.
        output: Its new folder.
        form: In which format.
        command: What its card says of how it was taken.
    """

    folder: SweepFolder
    result: TrialResult
    output: Path
    form: Format
    command: str


def output_problems(output: Path | None, form: Format) -> list[Problem]:
    """Returns why a student cannot be written to a folder in a format."""
    from kdray.models.student import CARD

    problems: list[Problem] = []
    if form != "safetensors":
        from kdray.exporting.graph import missing_packages

        problems += missing_packages(f"--format {form}")
        if output is None:
            problems.append(Problem(f"--format {form}", "writes a new folder: add --output DIR"))
    if output is not None and output.is_file():
        problems.append(Problem("--output", f"{output} is a file; take a new folder"))
    elif output is not None and (sweep := _sweep_around(output)) is not None:
        message = f"{output} lies in the folder of the sweep {sweep}; take one outside of it"
        problems.append(Problem("--output", message))
    elif output is not None and _is_taken(output) and not (output / CARD).exists():
        message = f"{output} holds something else; take a new folder"
        problems.append(Problem("--output", message))
    elif output is not None:
        # Beside it is written first.
        problems += folder_problems("--output", output.parent)
    return problems


def _sweep_around(output: Path) -> Path | None:
    """Returns the folder of the sweep that an output would lie in, which holds its own models."""
    there = output.resolve()
    return next((one for one in (there, *there.parents) if _is_sweep(SweepFolder(one))), None)


def _is_sweep(folder: SweepFolder) -> bool:
    # A search space may be called sweep.yaml too, and then no teacher lies beside it.
    return folder.sweep_yaml.exists() and folder.verification_json.exists()


def _is_taken(folder: Path) -> bool:
    return folder.exists() and any(folder.iterdir())


def copy_out(leaving: Leaving) -> Mapping[str, Any]:
    """Writes a student with its card into a new folder, or in place of another student.

    Returns:
        What is known of it in ONNX; nothing for a copy.

    Raises:
        ExportError: If it cannot be written in ONNX as what it is.
    """
    from kdray.reporting.card import Taken, student_card

    folder, output = leaving.folder, leaving.output.resolve()
    exported: Mapping[str, Any] = {}
    with written_whole(output) as staging:
        shutil.copytree(folder.student(leaving.result.trial_id), staging, dirs_exist_ok=True)
        _remember_columns(folder, staging)
        if leaving.form != "safetensors":
            from kdray.commands.graphs import put_graph

            exported = put_graph(folder, leaving.result, staging, leaving.form)
        taken = Taken(folder, leaving.result, staging, output.name, exported, leaving.command)
        (staging / README).write_text(student_card(taken), encoding="utf-8")
    return exported


def _remember_columns(folder: SweepFolder, student: Path) -> None:
    """Writes into a student's card which columns of the data it was trained on."""
    from kdray.models.student import CARD
    from kdray.reporting.reading import read_sweep

    data = read_sweep(folder)["config"]["data"]
    text = [data["text"]] if isinstance(data["text"], str) else data["text"]
    card = json.loads((student / CARD).read_text(encoding="utf-8"))
    card["columns"] = {"text": text, "labels": data["labels"]}
    (student / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False), encoding="utf-8")
