"""Keeping the teacher's outputs: found on disk, taken from an earlier sweep, or computed once."""

import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kdray.config.teachers import Cache
from kdray.data.dataset import Dataset
from kdray.models.outputs import Needs
from kdray.results.folder import SweepFolder, written_whole
from kdray.teacher.cache import Plan, plan_cache
from kdray.teacher.files import (
    MappedArray,
    MappedFile,
    file_of,
    free_bytes,
    new_file,
    take_files,
    unnamed_file,
    whole_files,
    write_key,
)
from kdray.teacher.layout import Array, Column, Layout, needs_of
from kdray.teacher.outputs import TeacherOutputs, compute_outputs


@dataclass(frozen=True)
class Place:
    """Where a sweep may keep the outputs.

    Attributes:
        folder: The sweep's folder; None keeps them in this process alone.
        store_bytes: What is free in Ray's object store.
        staging: Where the sweep's `teacher/` is being written, if it is not there yet; of an
            ensemble, that of all members.
        read_only: Whether what is not there is computed for this process alone.
    """

    folder: SweepFolder | None = None
    store_bytes: float = math.inf
    staging: Path | None = None
    read_only: bool = False

    @property
    def target(self) -> Path:
        """The folder that outputs are written to."""
        if self.folder is None:
            return Path(tempfile.gettempdir())
        lasting = self.folder.teacher_outputs
        if self.staging is None:
            return lasting
        return self.staging / lasting.relative_to(self.folder.root / "teacher")


HERE = Place()


@dataclass(frozen=True)
class Asked:
    """What the teacher is asked: a training set, and what to say of it.

    Attributes:
        model: The teacher.
        dataset: The training set.
        needs: What a trial may read besides the logits.
        key: What `content_key` returned for teacher and training set.
    """

    model: Any
    dataset: Dataset
    needs: Needs
    key: str

    @cached_property
    def layout(self) -> Layout:
        """Where each example stands in a column."""
        return Layout.of(self.dataset.lengths)

    @property
    def columns(self) -> dict[str, Column]:
        """The column of each output that is asked for."""
        return self.layout.columns(self.needs, self.model)

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each of them."""
        return {name: column.nbytes for name, column in self.columns.items()}


def keep_outputs(asked: Asked, options: Cache, place: Place) -> TeacherOutputs:
    """Returns the outputs for all trials; the teacher is run for what is nowhere yet.

    Args:
        asked: What they are of.
        options: The section `teacher.cache`.
        place: Where they may be kept.
    """
    columns = asked.columns
    plan = plan_cache(asked.sizes, options, place.store_bytes, free_bytes(place.target))
    if not plan.kept:
        return TeacherOutputs(asked.layout, {}, plan)
    kept = {name: columns[name] for name in plan.kept}
    if place.folder is None:
        return _in_process(asked, plan, kept)
    whole = whole_files(place.target, _key(asked, kept), kept) == kept.keys()
    if place.read_only and not whole:
        return _in_process(asked, plan, kept)
    reused, examples = False, 0
    if not whole:
        plan, reused, examples = _completed(asked, plan, kept, place)
    return TeacherOutputs(asked.layout, _kept_columns(plan, place), plan, examples, reused)


def keep_all(asked: Sequence[Asked], options: Cache, place: Place) -> list[TeacherOutputs]:
    """Returns the outputs of one teacher, or of each member of an ensemble; see `keep_outputs`.

    The first has the room that is left by the others, of which nothing but logits is read.
    """
    if len(asked) == 1:
        return [keep_outputs(asked[0], options, place)]
    found: dict[int, TeacherOutputs] = {}
    for number in [*range(1, len(asked)), 0]:
        folder = place.folder and place.folder.of_member(number)
        found[number] = keep_outputs(asked[number], options, replace(place, folder=folder))
        plan, sizes = found[number].plan, asked[number].sizes
        room = options.budget_mb - sum(sizes[name] for name in plan.kept) / 1e6
        options = options.model_copy(update={"budget_mb": room})
        stored = sum(sizes[name] for name in plan.memory)
        place = replace(place, store_bytes=place.store_bytes - stored)
    return [found[number] for number in range(len(asked))]


def _in_process(asked: Asked, plan: Plan, kept: Mapping[str, Column]) -> TeacherOutputs:
    arrays = {
        name: np.empty(column.shape, column.dtype) if name in plan.memory else unnamed_file(column)
        for name, column in kept.items()
    }
    plan = plan.without(compute_outputs(asked.model, asked.dataset, arrays, _readable(kept)))
    for array in arrays.values():
        array.flags.writeable = False
    columns = {name: arrays[name] for name in plan.kept}
    return TeacherOutputs(asked.layout, columns, plan, len(asked.dataset))


def _completed(
    asked: Asked, plan: Plan, kept: Mapping[str, Column], place: Place
) -> tuple[Plan, bool, int]:
    """Makes the folder of the outputs whole: from what it has, earlier sweeps and the teacher.

    Returns:
        The plan without what half precision cannot hold, whether something was taken from an
        earlier sweep, and how many examples the teacher was run on.
    """
    assert place.folder is not None, "outputs have a folder"
    key = _key(asked, kept)
    with written_whole(place.target) as staging:
        write_key(staging, key)
        own = take_files([place.target], key, kept, staging)
        rest = {name: kept[name] for name in kept.keys() - own}
        taken = take_files(_earlier(place.folder), key, rest, staging)
        missing = rest.keys() - taken
        arrays = {name: new_file(file_of(staging, name), kept[name]) for name in missing}
        plan = plan.without(_fill(asked, arrays, staging, _readable(kept)))
    return plan, bool(taken), len(asked.dataset) if missing else 0


def _kept_columns(plan: Plan, place: Place) -> dict[str, Array | MappedFile]:
    """Returns what is in the folder: content for the object store, paths for the rest."""
    assert place.folder is not None, "outputs have a folder"
    # In the object store goes the content, copied there once, straight from the mapped file.
    columns: dict[str, Array | MappedFile] = {
        name: MappedFile(file_of(place.target, name)).array for name in plan.memory
    }
    lasting = place.folder.teacher_outputs
    return columns | {name: MappedFile(file_of(lasting, name)) for name in plan.disk}


def _earlier(sweep: SweepFolder) -> Iterator[Path]:
    """Yields where other sweeps of the same output folder keep theirs."""
    for root in sorted(sweep.root.parent.iterdir()):
        if root != sweep.root:
            yield SweepFolder(root).teacher_outputs
            yield from sorted(root.glob("teacher/outputs/[0-9]*"))


def _fill(
    asked: Asked, arrays: Mapping[str, MappedArray], folder: Path, readable: bool
) -> set[str]:
    """Fills new files; returns which of them half precision cannot hold, which are deleted."""
    if not arrays:
        return set()
    lost = compute_outputs(asked.model, asked.dataset, arrays, readable)
    for array in arrays.values():
        array.flush()
    for name in lost:
        file_of(folder, name).unlink()
    return lost


def _key(asked: Asked, names: Iterable[str]) -> str:
    # So that a reused output is to the last bit what this sweep would have computed.
    return f"{asked.key}-readable" if _readable(names) else asked.key


def _readable(names: Iterable[str]) -> bool:
    return bool(needs_of(names).attentions)
