"""The student learns from the moving average of its own weights and buffers."""

import copy
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from kdray.data.batches import Batch
from kdray.distil_stage import distil
from kdray.distillation.base import Shape
from kdray.distillation.objective import Teach
from kdray.distillation.regimes import Online
from kdray.models.outputs import Needs, Outputs, forward, with_attentions
from kdray.pruning.base import Prunable
from kdray.staff import Setting, Staff, TaughtBy
from kdray.training.stepper import Stepper


def run(student: Prunable, setting: Setting) -> Prunable:
    """Returns the student that its own average has taught."""
    regime = setting.config.regime
    assert isinstance(regime, Online)

    def appoint(students: Sequence[Prunable]) -> Staff:
        (own,) = students
        average = Average(own.model, regime.momentum)
        teacher = TaughtBy(Shape.of(own.model.config), average.lessons)
        return Staff([teacher], average.before_step, {"average": average})

    return distil([student], setting, appoint)


class Average:
    """The moving average of a model that trains.

    Attributes:
        model: The average, in evaluation mode and float32.

    Args:
        model: The model that it begins as.
        momentum: Share of the average that stays at each step; less in the beginning, so that it is
            the mean of all weights so far.
    """

    def __init__(self, model: Any, momentum: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._momentum = momentum
        self._steps = 0

    def before_step(self, stepper: Stepper, step: int, steps: int) -> None:
        """Takes in what the step before has changed."""
        with stepper.reading_whole():
            self.follow(stepper.model)

    def follow(self, model: nn.Module) -> None:
        """Moves the average θ' to m θ' + (1 − m) θ, with m = min(momentum, n / (n + 1)).

        Of what cannot be averaged, as integers, it takes the value.

        Args:
            model: θ after n steps.
        """
        kept = min(self._momentum, self._steps / (self._steps + 1))
        self._steps += 1
        with torch.no_grad():
            for mine, its in zip(_state(self.model), _state(model), strict=True):
                if mine.is_floating_point():
                    mine.lerp_(its.to(mine.dtype), 1.0 - kept)
                else:
                    mine.copy_(its)

    def lessons(self, needs: Needs) -> Teach:
        """Returns what the average says of each batch."""
        with_attentions(self.model, bool(needs.attentions))

        def teach(batch: Batch, length: int) -> Outputs:
            device = next(self.model.parameters()).device.type
            with torch.no_grad(), torch.autocast(device, enabled=False):
                return forward(self.model, batch.inputs, needs)

        return teach

    def tensors(self) -> dict[str, Tensor]:
        """Returns the average's weights and buffers."""
        return {str(number): tensor for number, tensor in enumerate(_state(self.model))}

    def numbers(self) -> dict[str, Any]:
        """Returns how many steps it has followed."""
        return {"steps": self._steps}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Goes back to what `tensors` and `numbers` returned."""
        for name, tensor in self.tensors().items():
            tensor.copy_(tensors[name])
        self._steps = numbers["steps"]


def _state(model: nn.Module) -> list[Tensor]:
    return [tensor.detach() for tensor in chain(model.parameters(), model.buffers())]
