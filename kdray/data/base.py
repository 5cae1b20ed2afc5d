"""What every data source gives: labelled examples in three splits."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from kdray.config.validation import Section

LabelKind = Literal["multi_label", "single_label"]
SPLITS = ("train", "validation", "test")


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
        targets: Multi-label: float32 (examples, labels) of 0 and 1. Single-label: int64 (examples,).
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
    """What all sources have in common. A source is one file with one subclass."""

    text: str | list[str] = Field("text", description="The text column, or two for text pairs.")
    labels: str | list[str] = Field(
        description="A list of 0/1 columns: multi-label. One name: a single-label class column."
    )
    max_length: int = Field(128, ge=4, le=512, description="Tokens an example, specials included.")

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The text columns, one or two."""
        return (self.text,) if isinstance(self.text, str) else tuple(self.text)

    def read(self, base: Path, seed: int) -> Frames:
        """Returns the tables.

        Args:
            base: The folder that relative paths start from.
            seed: Of whatever the source draws.
        """
        raise NotImplementedError
