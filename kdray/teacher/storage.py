"""The prepared teacher on disk: a plain transformers folder, its outputs and its verification."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from kdray.data.dataset import Ragged
from kdray.results.folder import SweepFolder, write_json, written_whole
from kdray.teacher.outputs import TeacherOutputs
from kdray.teacher.verify import Verified


def save_teacher(
    folder: SweepFolder,
    model: Any,
    tokenizer: Any,
    outputs: TeacherOutputs,
    verified: Verified,
) -> None:
    """Writes `teacher/` in one piece: it is there whole or not at all."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    with written_whole(folder.teacher) as staging:
        model.save_pretrained(staging)
        tokenizer.save_pretrained(staging)
        save_outputs(outputs, staging / folder.teacher_outputs.name)
        found = asdict(verified) | {"forward_examples": outputs.forward_examples}
        write_json(staging / folder.verification_json.name, found)


def load_verified(folder: SweepFolder) -> Verified:
    """Returns what verification found when the teacher was prepared."""
    found: Mapping[str, Any] = json.loads(folder.verification_json.read_text(encoding="utf-8"))
    values = {part.name: found[part.name] for part in fields(Verified)}
    return Verified(**values | {"problems": tuple(found["problems"])})


def save_outputs(outputs: TeacherOutputs, folder: Path) -> None:
    """Writes each array as one `.npy` file."""
    folder.mkdir(parents=True)
    np.save(folder / "logits.npy", outputs.logits)
    np.save(folder / "lengths.npy", outputs.lengths)
    for kind, layers in (("hidden", outputs.hidden), ("attentions", outputs.attentions)):
        for layer, rows in layers.items():
            np.save(folder / f"{kind}.{layer}.npy", rows.values)
            np.save(folder / f"{kind}.offsets.npy", rows.offsets)


def load_outputs(folder: Path) -> TeacherOutputs:
    """Returns the outputs that `save_outputs` wrote, mapped from disk and read-only."""
    layers: dict[str, dict[int, Ragged]] = {"hidden": {}, "attentions": {}}
    for kind, found in layers.items():
        for file in sorted(folder.glob(f"{kind}.[0-9]*.npy")):
            values = np.load(file, mmap_mode="r", allow_pickle=False)
            offsets = np.load(folder / f"{kind}.offsets.npy", allow_pickle=False)
            found[int(file.name.split(".")[1])] = Ragged(values, offsets)
    logits = np.load(folder / "logits.npy", mmap_mode="r", allow_pickle=False)
    lengths = np.load(folder / "lengths.npy", allow_pickle=False)
    return TeacherOutputs(logits, layers["hidden"], layers["attentions"], lengths, len(logits))
