"""One optimizer step: scaled, masked, clipped, scheduled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from kdray.config.sections import Training
from kdray.training.optimizer import make_optimizer, make_schedule
from kdray.training.precision import autocast, resolve_precision


@dataclass(frozen=True)
class Learner:
    """What is trained.

    Attributes:
        model: The model, on its device.
        extra_modules: Trained along and then thrown away, such as projections.
        masks: By parameter name, 0 where a weight is pruned: it stays exactly 0.
    """

    model: nn.Module
    extra_modules: Sequence[nn.Module] = ()
    masks: Mapping[str, Tensor] = field(default_factory=dict)


class Stepper:
    """Takes the steps of one training.

    Attributes:
        device: Where the model is.
        weights: The model's trainable parameters, without those of the extra modules.
        cast: What a forward pass runs under.
        optimizer: AdamW over all of them.
    """

    def __init__(self, learner: Learner, options: Training, steps: int) -> None:
        self.device = next(learner.model.parameters()).device
        self.weights = _trainable([learner.model])
        self.optimizer = make_optimizer([learner.model, *learner.extra_modules], options)
        dtype = resolve_precision(options.precision, self.device)
        self.cast = autocast(dtype, self.device)
        self._parameters = self.weights + _trainable(learner.extra_modules)
        self._masked = masked_parameters(learner.model, learner.masks)
        self._schedule = make_schedule(self.optimizer, options.warmup_ratio, steps)
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=dtype == torch.float16)
        self._clip = options.gradient_clip

    @property
    def learning_rate(self) -> float:
        """The rate of the next step."""
        return float(self._schedule.get_last_lr()[0])

    def step(self, loss: Tensor) -> None:
        """Moves the parameters against the gradient of a loss."""
        torch.autograd.backward(self._scaler.scale(loss))
        self._scaler.unscale_(self.optimizer)
        for parameter, mask in self._masked:
            if parameter.grad is not None:
                parameter.grad.mul_(mask)
        nn.utils.clip_grad_norm_(self._parameters, self._clip)
        self._scaler.step(self.optimizer)
        self._scaler.update()
        self._schedule.step()
        self.optimizer.zero_grad(set_to_none=True)


def masked_parameters(
    model: nn.Module, masks: Mapping[str, Tensor]
) -> list[tuple[nn.Parameter, Tensor]]:
    """Returns each pruned parameter with its mask, and sets the pruned weights to 0.

    With the gradient masked from the first step, AdamW's moments at a pruned weight are 0 too, its
    update is 0 / (0 + ε), and decay keeps a 0 at 0.
    """
    pairs = []
    for name, mask in masks.items():
        parameter = model.get_parameter(name)
        placed = mask.to(parameter.device, parameter.dtype)
        with torch.no_grad():
            parameter.mul_(placed)
        pairs.append((parameter, placed))
    return pairs


def _trainable(modules: Sequence[nn.Module]) -> list[nn.Parameter]:
    return [p for module in modules for p in module.parameters() if p.requires_grad]
