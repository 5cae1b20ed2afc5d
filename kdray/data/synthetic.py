"""The embedded default: a seeded corpus of short comments, made on the spot."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from kdray.config.validation import nearest
from kdray.data.base import DataSource, Frames
from kdray.data.corpus import LABELS, make_corpus


class Synthetic(DataSource):
    """Short multi-label comments with five labels (see `corpus.py`)."""

    shows_texts: ClassVar[bool] = True
    source: Literal["synthetic"] = "synthetic"
    text: Literal["text"] = "text"
    labels: str | list[str] = Field(
        default_factory=lambda: list(LABELS), description="The corpus's five labels, or some."
    )
    train_rows: int = Field(3000, ge=20, description="Comments to learn from.")
    validation_rows: int = Field(700, ge=10, description="Comments to select by.")
    test_rows: int = Field(700, ge=10, description="Comments to measure on at the end.")

    @field_validator("labels")
    @classmethod
    def _labels_are_there(cls, value: str | list[str]) -> str | list[str]:
        if isinstance(value, str):
            raise ValueError(f"must be a list of labels, but got {value!r}")
        for name in value:
            if name not in LABELS:
                raise ValueError(f"no such label: {name!r}{nearest(name, LABELS)}")
        return value

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
