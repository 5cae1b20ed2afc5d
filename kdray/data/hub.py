"""Data sets of the Hugging Face hub, or folders that `datasets` can load."""

from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import Field

from kdray.data.base import SPLITS, DataSource, Frames
from kdray.errors import ConfigError, Problem
from kdray.waiting import during


class Hub(DataSource):
    """What `datasets.load_dataset` loads; splits are named train, validation, test."""

    source: Literal["hub"] = "hub"
    name: str = Field(description="Name on the hub, or a folder relative to the YAML file.")
    config: str | None = Field(None, description="Configuration of the data set.")
    revision: str | None = Field(None, description="Branch, tag or commit: pin it.")

    def read(self, base: Path, seed: int) -> Frames:
        """Returns the tables of the splits that there are.

        Raises:
            ConfigError: If the data set cannot be loaded or has no training split.
        """
        loaded = self._load(base)
        if "train" not in loaded:
            message = f"{self.name!r} has no split `train`, only {', '.join(loaded)}"
            raise ConfigError([Problem("data.name", message)])
        splits = {name: self._table(loaded[name]) for name in SPLITS if name in loaded}
        return Frames(splits, {name: f"{self.name} ({name})" for name in splits})

    def _load(self, base: Path) -> Any:
        import datasets

        local = base / self.name
        name = str(local) if local.is_dir() else self.name
        datasets.disable_progress_bars()
        try:
            with during(f"loading {self.name}"):
                return datasets.load_dataset(name, self.config, revision=self.revision)
        except Exception as error:  # datasets raises many kinds, all about what the user named
            reason = (str(error) or type(error).__name__).splitlines()[0]
            message = f"{self.name!r} cannot be loaded: {reason}"
            raise ConfigError([Problem("data.name", message)]) from error

    def _table(self, split: Any) -> pd.DataFrame:
        """Returns a split in which the classes have their names; -1, no class, is empty."""
        frame: pd.DataFrame = split.to_pandas()
        if isinstance(self.labels, str):
            classes = getattr(split.features.get(self.labels), "names", None)
            names = dict(enumerate(classes or ()))
            if names:
                frame[self.labels] = [names.get(code) for code in frame[self.labels]]
        return frame
