"""The embedded default: a seeded corpus of short comments, made on the spot."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from kdray.data.base import DataSource, Frames
from kdray.data.corpus import LABELS, make_corpus


class Synthetic(DataSource):
    """Short multi-label comments with five labels (see `corpus.py`)."""

    source: Literal["synthetic"] = "synthetic"
    text: Literal["text"] = "text"
    labels: list[Literal["bully", "sexual", "religious", "threat", "spam"]] = Field(
        default_factory=lambda: list(LABELS), description="The corpus's five labels, or some."
    )
    train_rows: int = Field(3200, ge=20, description="Comments to learn from.")
    validation_rows: int = Field(800, ge=10, description="Comments to select by.")
    test_rows: int = Field(800, ge=10, description="Comments to measure on at the end.")

    def read(self, base: Path, seed: int) -> Frames:
        """Returns the three tables; the seed decides every text."""
        sizes = {
            "train": self.train_rows,
            "validation": self.validation_rows,
            "test": self.test_rows,
        }
        corpus = make_corpus(sum(sizes.values()), seed)
        splits, start = {}, 0
        for name, size in sizes.items():
            splits[name] = corpus.iloc[start : start + size].reset_index(drop=True)
            start += size
        return Frames(splits, dict.fromkeys(splits, "the synthetic corpus"))
