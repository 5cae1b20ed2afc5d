"""Texts whose labels stand in them as words, in files, and small teachers on disk who can learn."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from kdray.config.sections import Evaluation
from kdray.data.base import Labels
from kdray.data.tokenizing import train_tokenizer
from kdray.preparation import PreparedSweep, prepare
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig, TrialConfig, trial_config
from kdray.teacher.keeping import Place
from tests import tiny
from tests.tiny_sweep import merged, tiny_config

WORDS = ("lovely", "awful", "plain")
FILLER = ("the", "soup", "film", "bike", "very", "much", "and", "so", "it", "was", "not", "here")
SINGLE = Labels(("m0", "m1", "m2"), "single_label")
MULTI = Labels(WORDS, "multi_label")
TRAINING = {"epochs": 5, "learning_rate": 1e-2, "batch_size": 8, "precision": "float32"}
SECTIONS: dict[str, Any] = {
    "student": {"layers": 1},
    "pruning": {"method": "none"},
    "distillation": {"method": "logit"},
    "training": {**TRAINING, "epochs": 4},
}


@dataclass(frozen=True)
class Made:
    """A sweep that was prepared, and what was said meanwhile."""

    config: SweepConfig
    sweep: PreparedSweep
    folder: SweepFolder
    lines: list[str]


def made(base: Path, sections: dict[str, Any]) -> Made:
    """Prepares a sweep of some sections in a folder."""
    config, lines = tiny_config(base, **sections), list[str]()
    folder = SweepFolder(base / "runs" / "s")
    return Made(config, prepare(config, lines.append, Place(folder)), folder, lines)


def trial(**changes: Any) -> TrialConfig:
    """Returns a trial that learns, with some sections changed."""
    return trial_config(merged(SECTIONS, changes), Evaluation(), "macro_f1")


def texts(count: int, seed: int) -> pd.DataFrame:
    """Distinct texts: one class each, `mood`, or any number of the 0/1 columns of `WORDS`."""
    rng, rows = np.random.default_rng(seed), dict[str, Any]()
    while len(rows) < count:
        given = rng.random(3) < 0.4
        mood = len(rows) % 3
        words = [word for word, there in zip(WORDS, given, strict=True) if there]
        text = " ".join([f"mood{mood}", *words, *rng.choice(FILLER, 3)])
        rows.setdefault(text, (*given.astype(int), f"m{mood}"))
    columns = pd.DataFrame(list(rows.values()), columns=[*WORDS, "mood"])
    return columns.assign(text=list(rows))


def write_data(folder: Path, labels: Labels) -> dict[str, Any]:
    """Writes three files and returns the section `data` that names them."""
    names = {"train": 192, "validation": 60, "test": 60}
    table = texts(sum(names.values()), 0)
    for name, count in names.items():
        table[:count].to_csv(folder / f"{name}.csv", index=False)
        table = table[count:]
    columns = "mood" if labels.kind == "single_label" else list(WORDS)
    files = {name: f"{name}.csv" for name in names}
    rows = dict.fromkeys(("train_rows", "validation_rows", "test_rows"))
    return {"source": "files", **files, "labels": columns, "max_length": 16, **rows}


def write_teacher(folder: Path, name: str, labels: Labels, **settings: Any) -> str:
    """Writes an untrained teacher with a tokenizer of its own, and returns its folder's name."""
    size = settings.pop("vocabulary", 120)
    tokenizer = train_tokenizer(texts(100, 1)["text"], size, 16)
    kind = {**settings, "vocab_size": len(tokenizer)}
    model = tiny.model(labels, **kind)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.4 if parameter.dim() > 1 else 1.0)  # learns in fewer epochs
    model.save_pretrained(folder / name)
    tokenizer.save_pretrained(folder / name)
    return name
