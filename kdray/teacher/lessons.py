"""What a student is told for each batch: read where it is kept, else the teacher is asked."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from kdray.data.batches import Batch, make_batch
from kdray.data.dataset import Dataset
from kdray.models.building import ModelState, borrow
from kdray.models.outputs import Needs, Outputs, forward, with_attentions
from kdray.teacher.layout import as_outputs, by_name, needs_of, output_names
from kdray.teacher.outputs import TeacherOutputs


class Lessons:
    """The teacher's outputs for batches of the training set.

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
        self._outputs, self._teacher, self._needs, self._device = outputs, teacher, needs, device
        self._dataset = dataset
        self._kept = [name for name in names if name in outputs.columns]
        self._missing = [name for name in names if name not in outputs.columns]

    def __call__(self, batch: Batch, length: int) -> Outputs:
        """Returns the outputs for a batch, padded with 0 to `length` positions."""
        found = self._outputs.batch(self._kept, batch.rows, length, self._device)
        if self._missing:
            found |= self._asked(batch)
        return as_outputs(found, self._needs)

    def count(self) -> int:
        """Returns how many examples the teacher was run on since this was asked last."""
        examples, self._examples = self._examples, 0
        return examples

    @cached_property
    def _model(self) -> Any:
        model = with_attentions(borrow(self._teacher), bool(needs_of(self._missing).attentions))
        return model.to(self._device)

    def _asked(self, batch: Batch) -> dict[str, Tensor]:
        self._examples += len(batch.rows)
        # Not inference mode: a loss may keep what it gets for its backward pass.
        with torch.no_grad(), torch.autocast(self._device.type, enabled=False):
            inputs = make_batch(self._dataset, batch.rows, self._device).inputs
            outputs = forward(self._model, inputs, needs_of(self._missing))
        found = by_name(outputs)
        return {name: _without_padding(name, found, outputs.mask) for name in self._missing}


def _without_padding(name: str, found: Mapping[str, Tensor], mask: Tensor | None) -> Tensor:
    """Returns an output with 0 where the cache has 0."""
    if mask is None or found[name].dim() < 3:
        return found[name]
    inside = mask[:, :, None].to(found[name].dtype)
    if name.startswith("attentions"):
        inside = inside * mask[:, None, :]
    return found[name] * inside
