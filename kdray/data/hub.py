"""Data sets of the Hugging Face hub, or folders that `datasets` can load."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from kdray.data.base import SPLITS, DataSource, Frames
from kdray.errors import ConfigError, Problem


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
        import datasets

        local = base / self.name
        try:
            loaded = datasets.load_dataset(
                str(local) if local.is_dir() else self.name, self.config, revision=self.revision
            )
        except Exception as error:  # datasets raises many kinds, all about what the user named
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise ConfigError(
                [Problem("data.name", f"{self.name!r} cannot be loaded: {reason}")]
            ) from error
        splits = {name: loaded[name].to_pandas() for name in SPLITS if name in loaded}
        if "train" not in splits:
            raise ConfigError(
                [Problem("data.name", f"{self.name!r} has no split `train`, only {list(loaded)}")]
            )
        return Frames(splits, {name: f"{self.name} ({name})" for name in splits})
