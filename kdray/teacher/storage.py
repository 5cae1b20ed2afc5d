"""The prepared teacher on disk, for plain transformers where it can be, and what is known of it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from kdray.data.base import Examples, Labels
from kdray.data.dataset import Dataset
from kdray.evaluation.measure import Measured
from kdray.models.student import Student, save_student
from kdray.results.folder import PREDICTIONS, TEXTS, TRUTH, SweepFolder, write_json, written_whole
from kdray.teacher.outputs import TeacherOutputs
from kdray.teacher.verify import Verified


@contextmanager
def written_teacher(
    folder: SweepFolder, teachers: Sequence[Student], verified: Verified
) -> Iterator[Path]:
    """Writes `teacher/` in one piece: it is there whole, with what the block adds, or not at all.

    Args:
        folder: The sweep's folder.
        teachers: The teacher, in `teacher/` itself; the members of an ensemble, in `teacher/0`,
            `teacher/1` and so on. Each is stored as a student is, but not packed: plain
            transformers reads one that classifies by its family's way.
        verified: What verification found.

    Yields:
        The folder that becomes `teacher/` when the block ends well.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    with written_whole(folder.teacher) as staging:
        places = member_folders(staging, len(teachers))
        for place, teacher in zip(places, teachers, strict=True):
            save_student(teacher, place, packed=False)
        found = asdict(verified) | {"forward_examples": 0}
        write_json(staging / folder.verification_json.name, found)
        yield staging


def member_folders(folder: Path, count: int) -> list[Path]:
    """Returns where each of so many teachers is: `teacher/` itself, or `teacher/0` and so on."""
    return [folder / str(number) for number in range(count)] if count > 1 else [folder]


def write_predictions(
    folder: Path, measured: Measured, splits: Mapping[str, Dataset], labels: Labels
) -> None:
    """Writes what the teacher says of every split that it is measured on, and what is true.

    `predictions.npz` is like a trial's: the logits of each split, and `thresholds`. `truth.npz`
    holds the targets of each split, and the names of the `labels`.

    Args:
        folder: That becomes `teacher/`.
        measured: The teacher's logits and thresholds.
        splits: The splits, encoded.
        labels: What is predicted.
    """
    said: dict[str, Any] = {**measured.logits, "thresholds": np.array(measured.thresholds)}
    np.savez(folder / PREDICTIONS, **said)
    truth: dict[str, Any] = {name: splits[name].targets for name in measured.logits}
    np.savez_compressed(folder / TRUTH, **truth, labels=np.array(labels.names))


def write_texts(folder: SweepFolder, test: Examples) -> None:
    """Writes the texts of the test set for the report; not those of third parties."""
    write_json(folder.teacher / TEXTS, {"test": [" ".join(row) for row in test.texts]})


def load_verified(folder: SweepFolder) -> Verified:
    """Returns what verification found when the teacher was prepared."""
    found = _read(folder)
    values = {part.name: found[part.name] for part in fields(Verified) if part.name in found}
    several = {"problems": tuple(found["problems"]), "members": tuple(found.get("members", ()))}
    return Verified(**values | several)


def note_outputs(folder: SweepFolder, *outputs: TeacherOutputs) -> None:
    """Adds to `verification.json` what the outputs cost, and where they are kept.

    A sweep that goes on adds its own runs of the teacher to those before.

    Args:
        folder: The sweep's folder.
        outputs: Of the teacher, or of each member of an ensemble.
    """
    found = _read(folder)
    before = found.get("teacher_outputs", {})
    kept = {
        "memory_mb": sum(one.size_mb(one.plan.memory) for one in outputs),
        "disk_mb": sum(one.size_mb(one.plan.disk) for one in outputs),
        "in_loop": list(dict.fromkeys(name for one in outputs for name in one.plan.in_loop)),
        "reused": any(one.reused for one in outputs) or before.get("reused", False),
    }
    examples = found["forward_examples"] + sum(one.forward_examples for one in outputs)
    new = {**found, "forward_examples": examples, "teacher_outputs": kept}
    if new != found:
        write_json(folder.verification_json, new)


def _read(folder: SweepFolder) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(folder.verification_json.read_text(encoding="utf-8"))
    return found
