"""What a student is told for each batch: read where it is kept, else the teacher is asked."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kdray.data.batches import Batch, make_batch
from kdray.data.dataset import Dataset, Rows
from kdray.models.building import ModelState, borrow
from kdray.models.ensemble import Votes
from kdray.models.outputs import Needs, Outputs, forward, with_attentions
from kdray.teacher.files import unnamed_file
from kdray.teacher.layout import FEATURES, as_outputs, by_name, needs_of, output_names, sides_of
from kdray.teacher.outputs import TeacherOutputs, compute_outputs


class Lessons:
    """The teacher's outputs for batches of the training set.

    A bank of pooled features that is not kept is computed here, in one run over the training set,
    and stands in a file until the end of this process.

    Args:
        outputs: What is kept of them.
        teacher: The teacher, for what is not.
        needs: What is read.
        dataset: The training set as the teacher's tokenizer has it.
        device: Where the outputs are wanted.
    """

    def __init__(
        self,
        outputs: TeacherOutputs,
        teacher: ModelState,
        needs: Needs,
        dataset: Dataset,
        device: torch.device,
    ) -> None:
        names = output_names(needs)
        self._examples = 0
        self._teacher, self._needs, self._device = teacher, needs, device
        self._dataset = dataset
        if needs.bank and FEATURES not in outputs.columns:
            outputs = self._with_features(outputs)
        self._outputs = outputs
        self._kept = [name for name in names if name in outputs.columns]
        self._missing = [name for name in names if name not in outputs.columns]

    def __call__(self, batch: Batch, length: int) -> Outputs:
        """Returns the outputs for a batch, padded with 0 to `length` positions."""
        found = self._outputs.batch(self._kept, batch.rows, length, self._device)
        if self._missing:
            found |= self._asked(batch)
        told = as_outputs(found, self._needs)
        if not self._needs.bank:
            return told
        rows = other_rows(batch.rows, len(self._dataset), self._needs.bank)
        bank = torch.from_numpy(self._outputs.array(FEATURES)[rows])
        return replace(told, bank=bank.to(self._device))

    def count(self) -> int:
        """Returns how many examples the teacher was run on since this was asked last."""
        examples, self._examples = self._examples, 0
        return examples

    @cached_property
    def _model(self) -> Any:
        model = with_attentions(borrow(self._teacher), bool(needs_of(self._missing).attentions))
        return model.to(self._device)

    def _with_features(self, outputs: TeacherOutputs) -> TeacherOutputs:
        model = borrow(self._teacher)
        column = outputs.layout.columns(Needs(features=True), model)[FEATURES]
        array = unnamed_file(column)
        compute_outputs(model, self._dataset, {FEATURES: array}, readable=False)
        self._examples += len(self._dataset)
        return replace(outputs, columns={**outputs.columns, FEATURES: array})

    def _asked(self, batch: Batch) -> dict[str, Tensor]:
        self._examples += len(batch.rows)
        # Not inference mode: a loss may keep what it gets for its backward pass.
        with torch.no_grad(), torch.autocast(self._device.type, enabled=False):
            inputs = make_batch(self._dataset, batch.rows, self._device).inputs
            outputs = forward(self._model, inputs, needs_of(self._missing))
        found = by_name(outputs)
        return {name: _without_padding(name, found, outputs.mask) for name in self._missing}


class EnsembleLessons:
    """What an ensemble says of each batch: the votes of all, and all else of its first member.

    Args:
        members: The lessons of each; of the others than the first the logits are read alone.
        weights: Of each member; their sum is 1.
    """

    def __init__(self, members: Sequence[Lessons], weights: tuple[float, ...]) -> None:
        self._members, self._weights = members, weights

    def __call__(self, batch: Batch, length: int) -> Outputs:
        """Returns the outputs for a batch, padded with 0 to `length` positions."""
        told = [member(batch, length) for member in self._members]
        votes = Votes(torch.stack([one.logits for one in told]), self._weights)
        return replace(told[0], votes=votes)

    def count(self) -> int:
        """Returns how many examples all members were run on since this was asked last."""
        return sum(member.count() for member in self._members)


def other_rows(rows: Rows, total: int, count: int) -> Rows:
    """Returns some of the rows of a training set that are not in a batch.

    All of them if they are at most `count`, else so many, drawn with replacement from torch's
    random numbers, whose state is kept with a training.

    Args:
        rows: Those of the batch, each once.
        total: Rows of the training set.
        count: How many at most.
    """
    own = np.sort(rows)
    others = total - len(own)
    drawn = np.arange(others) if others <= count else torch.randint(others, (count,)).numpy()
    # The n-th of the others stands behind all of the batch that come before it.
    return drawn + np.searchsorted(own - np.arange(len(own)), drawn, side="right")


def _without_padding(name: str, found: Mapping[str, Tensor], mask: Tensor | None) -> Tensor:
    """Returns an output with 0 where the cache has 0."""
    output, sides = found[name], sides_of(name)
    if mask is None or not sides:
        return output
    inside = mask if sides == 1 else mask[:, :, None] * mask[:, None, :]
    return output * inside.reshape(*inside.shape, *[1] * (output.dim() - inside.dim()))
