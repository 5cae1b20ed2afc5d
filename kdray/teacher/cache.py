"""What is kept of the teacher's outputs, where, and under which key."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdray.config.teachers import Cache
from kdray.data.dataset import Dataset, Ragged
from kdray.teacher.layout import LOGITS

# Weights, data and other sweeps live in the object store too; Ray spills to disk when it is full.
STORE_SHARE = {"auto": 0.5, "memory": 0.8}
_LAYOUT_VERSION = 1
# What a transformers configuration says of where it comes from, not of what the model computes.
_INCIDENTAL = {
    "_name_or_path",
    "architectures",
    "dtype",
    "id2label",
    "label2id",
    "problem_type",
    "transformers_version",
}


@dataclass(frozen=True)
class Plan:
    """Where each output that a trial may need comes from, by its name.

    Attributes:
        memory: Kept in Ray's object store.
        disk: Kept in files that trials map.
        in_loop: Not kept: a trial that needs it runs the teacher on each batch.
    """

    memory: tuple[str, ...] = ()
    disk: tuple[str, ...] = ()
    in_loop: tuple[str, ...] = ()

    @property
    def kept(self) -> tuple[str, ...]:
        """What is computed once."""
        return self.memory + self.disk

    def without(self, lost: Collection[str]) -> "Plan":
        """Returns the plan with some outputs computed in the loop."""
        memory = tuple(name for name in self.memory if name not in lost)
        disk = tuple(name for name in self.disk if name not in lost)
        return Plan(memory, disk, (*self.in_loop, *sorted(lost)))


def plan_cache(
    sizes: Mapping[str, int], options: Cache, store_bytes: float, disk_bytes: float
) -> Plan:
    """Returns what is kept where: the logits first, then the smallest, while the budget lasts.

    `memory` keeps what fits into 0.8 of the free object store. `auto` fills half of it and puts the
    rest on disk. Everything that is kept has a file, so the disk bounds both.

    Args:
        sizes: Bytes of each output by its name.
        options: The section `teacher.cache`.
        store_bytes: Free in the object store.
        disk_bytes: Free on the sweep's disk.
    """
    if options.where == "off":
        return Plan(in_loop=tuple(sizes))
    budget = min(options.budget_mb * 1e6, disk_bytes)
    share = STORE_SHARE.get(options.where)
    store = min(budget, store_bytes * share) if share else 0.0
    chosen: dict[str, list[str]] = {"memory": [], "disk": [], "in_loop": []}
    in_store = kept = 0
    for name in sorted(sizes, key=lambda name: (name != LOGITS, sizes[name])):
        if kept + sizes[name] <= budget and in_store + sizes[name] <= store:
            chosen["memory"].append(name)
            in_store += sizes[name]
        elif kept + sizes[name] <= budget and options.where in ("auto", "disk"):
            chosen["disk"].append(name)
        else:
            chosen["in_loop"].append(name)
            continue
        kept += sizes[name]
    return Plan(**{where: tuple(names) for where, names in chosen.items()})


def content_key(digest: str, config: Mapping[str, Any], tokenizer: Any, dataset: Dataset) -> str:
    """Returns a SHA-256 of all that decides what a teacher says of a training set.

    Args:
        digest: Of the teacher's weights.
        config: Its transformers configuration.
        tokenizer: Its tokenizer.
        dataset: The training set as token ids: the texts, cut to `max_length`.
    """
    described = {
        "layout": _LAYOUT_VERSION,
        "weights": digest,
        "config": {name: value for name, value in config.items() if name not in _INCIDENTAL},
        "vocabulary": tokenizer.get_vocab(),
        "columns": {name: _digest(column) for name, column in dataset.columns.items()},
        "lengths": _digest(dataset.lengths),
    }
    text = json.dumps(described, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def data_digest(splits: Mapping[str, Dataset]) -> str:
    """Returns a SHA-256 of the token ids and targets of every split."""
    described = {
        name: [_digest(part.columns["input_ids"]), _digest(part.targets)]
        for name, part in splits.items()
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def _digest(column: Ragged | np.ndarray) -> str:
    values = column.values if isinstance(column, Ragged) else column
    shape = f"{values.dtype} {values.shape} {getattr(column, 'pad', None)} "
    digest = hashlib.sha256(shape.encode())
    digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()
