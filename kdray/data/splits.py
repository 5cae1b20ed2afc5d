"""A missing validation or test split is split off the training data."""

from dataclasses import replace

import numpy as np
import pandas as pd

from kdray.data.base import DataSource, Frames

SHARE = 0.15


def complete_splits(source: DataSource, frames: Frames, seed: int) -> Frames:
    """Returns frames with all three splits, 15 % of the training rows for each missing one.

    Rows with the same text stay together, so that no split leaks into another.
    """
    for name in ("test", "validation"):
        columns = [c for c in source.text_columns if c in frames.splits["train"].columns]
        if name not in frames.splits and columns:
            frames = _split_off(frames, name, columns, seed)
    return frames


def _split_off(frames: Frames, name: str, columns: list[str], seed: int) -> Frames:
    train = frames.splits["train"]
    groups = train.groupby([train[c].astype(str).str.strip() for c in columns], sort=False).ngroup()
    order = np.random.default_rng([seed, len(name)]).permutation(groups.nunique())
    taken = pd.Series(groups.isin(order[: max(1, round(SHARE * len(order)))]), index=train.index)
    parts = {
        "train": train[~taken].reset_index(drop=True),
        name: train[taken].reset_index(drop=True),
    }
    origin = f"{frames.origins['train']} (split off as {name})"
    return replace(frames, splits=frames.splits | parts, origins=frames.origins | {name: origin})
