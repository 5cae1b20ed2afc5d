"""What every data source gives: labelled examples in three splits."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, field_validator, model_validator

from kdray.config.validation import Section

LabelKind = Literal["multi_label", "single_label"]
SPLITS = ("train", "validation", "test")
OUT_OF_DOMAIN = "out_of_domain"
UNLABELED = "unlabeled"
# What students learn from, and nothing is measured on.
LEARNT = ("train", UNLABELED)


@dataclass(frozen=True)
class Labels:
    """What is predicted.

    Attributes:
        names: Labels (multi-label) or classes (single-label), in the order of the logits.
        kind: Whether labels are independent decisions or exclude each other.
    """

    names: tuple[str, ...]
    kind: LabelKind


@dataclass(frozen=True)
class Examples:
    """One split before tokenising.

    Attributes:
        texts: One tuple of texts an example: one text, or a pair.
        targets: Multi-label: float32 (examples, labels) of 0 and 1. Single-label: int64
            (examples,). Of texts without labels NaN, or -1.
    """

    texts: tuple[tuple[str, ...], ...]
    targets: npt.NDArray[np.float32] | npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Frames:
    """Tables as a source reads them, before any check; a missing split is split off later.

    Attributes:
        splits: The table of each split that there is, by `train`, `validation`, `test`.
        origins: Where each table came from, for messages.
    """

    splits: dict[str, pd.DataFrame]
    origins: dict[str, str]


class DataSource(Section):
    """What all sources have in common. A source is one file with one subclass.

    Attributes:
        shows_texts: Whether a report may show the texts, which are not third parties' then.
    """

    shows_texts: ClassVar[bool] = False
    text: str | list[str] = Field("text", description="The text column, or two for text pairs.")
    labels: str | list[str] = Field(
        description="A list of 0/1 columns: multi-label. One name: a single-label class column."
    )
    unlabeled: str | None = Field(
        None,
        description="A file of further texts (.csv, .parquet, .jsonl, or .txt with a text a line) "
        "on which a teacher's outputs alone teach.",
    )
    max_length: int = Field(128, ge=4, le=512, description="Tokens an example, specials included.")

    @field_validator("text")
    @classmethod
    def _one_text_or_two(cls, value: str | list[str]) -> str | list[str]:
        if isinstance(value, list) and len(value) not in {1, 2}:
            raise ValueError(f"must be one column, or a list of two, but got {value!r}")
        return value

    @field_validator("labels")
    @classmethod
    def _some_labels(cls, value: str | list[str]) -> str | list[str]:
        if not value:
            raise ValueError("must be a list of 0/1 columns, or the name of one class column")
        return value

    @model_validator(mode="after")
    def _columns_differ(self) -> Self:
        columns = [*self.text_columns, *self.label_columns]
        for name in columns:
            if columns.count(name) > 1:
                raise ValueError(f"`text` and `labels` name the column {name!r} twice")
        return self

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The text columns, one or two."""
        return (self.text,) if isinstance(self.text, str) else tuple(self.text)

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The label columns: one of classes, or any number of 0 and 1."""
        return (self.labels,) if isinstance(self.labels, str) else tuple(self.labels)

    def read(self, base: Path, seed: int) -> Frames:
        """Returns the tables.

        Args:
            base: The folder that relative paths start from.
            seed: Of whatever the source draws.
        """
        raise NotImplementedError
