"""One optimizer step: scaled, masked, clipped, scheduled."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from kdray.config.sections import Training
from kdray.training.flat import FlatParameters
from kdray.training.lazy_rows import LazyRows, large_embeddings, table
from kdray.training.optimizer import decays, make_optimizer, make_schedule
from kdray.training.precision import autocast, resolve_precision

# Takes the stepper, the number of the step, from 0, and the number of all steps.
BeforeStep = Callable[["Stepper", int, int], None]


def no_more(stepper: "Stepper", step: int, steps: int) -> None:
    """Does nothing before a step."""


@dataclass(frozen=True)
class Learner:
    """What is trained.

    Attributes:
        model: The model, on its device.
        extra_modules: Trained along and then thrown away, such as projections.
        masks: By parameter name, 0 where a weight is pruned: it stays exactly 0.
        before_step: Called before each step; it may prune further.
        is_followed: Whether it reads all weights each time.
    """

    model: nn.Module
    extra_modules: Sequence[nn.Module] = ()
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    before_step: BeforeStep = no_more
    is_followed: bool = False


class Stepper:
    """Takes the steps of one training.

    Attributes:
        model: What is trained.
        device: Where it is.
        weights: The model's trainable parameters, without those of the extra modules.
        flats: All of them and those of the extra modules: each large embedding, the other
            embeddings, the other matrices, and norms and biases, which do not decay.
        cast: What a forward pass runs under.
        optimizer: AdamW over all of them.
        options: How it is trained.
        micro_batch_size: Most examples whose gradient is computed at once.
        masks: By parameter name, 0 where a weight is pruned.
        before_step: Called before each step.

    Args:
        learner: What is trained.
        options: How it is trained.
        steps: Of the whole training.
        done: Steps of it that others have taken: the learning rate goes on from there.
    """

    def __init__(self, learner: Learner, options: Training, steps: int, done: int = 0) -> None:
        self.model = learner.model
        self.before_step = learner.before_step
        self.options = options
        self.micro_batch_size = options.batch_size
        self.device = next(learner.model.parameters()).device
        self.weights = _trainable([learner.model])
        parameters = self.weights + _trainable(learner.extra_modules)
        self._dtype = resolve_precision(options.precision, self.device)
        self.cast = autocast(self._dtype, self.device)
        # A number that is none, which float16 recovers from, would stay in the other rows.
        may_wait = self.device.type == "cpu" and self._dtype != torch.float16
        large = large_embeddings(learner.model)
        self._lazy = (
            [LazyRows(one) for one in large] if may_wait and not learner.is_followed else []
        )
        steady = [] if self._lazy else [FlatParameters([table(one)]) for one in large]
        groups = _groups(learner.model, parameters)
        flats = {kind: FlatParameters(group) for kind, group in groups.items() if group}
        embedded = embedding_weights(learner.model)
        frozen = [p for p in learner.model.parameters() if not p.requires_grad]
        unembedded = [p for p in frozen if id(p) not in embedded]
        self._frozen = [FlatParameters(unembedded)] if unembedded else []
        self.flats = [*self._lazy, *steady, *flats.values()]
        trained = [flat for kind, flat in flats.items() if kind != "embeddings"]
        self._rounded = trained + self._frozen
        self._vectors = [flat.vector for flat in self.flats]
        norms = flats.get("vectors")
        self.optimizer = make_optimizer(
            [(flat.vector, flat is not norms) for flat in self.flats], options
        )
        for rows in self._lazy:
            rows.belong_to(self.optimizer)
        self.masks: dict[str, Tensor] = {}
        self._rounding = True
        self._schedule = make_schedule(self.optimizer, options.warmup_ratio, steps, done)
        half = self._dtype == torch.float16
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=half)
        self.mask(learner.masks)

    @property
    def learning_rate(self) -> float:
        """The rate of the next step."""
        return float(self._schedule.get_last_lr()[0])

    @property
    def loss_scale(self) -> float:
        """What a loss is multiplied by, so that its gradient does not vanish in float16."""
        return float(self._scaler.get_scale())

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Lets forward passes inside the block read bfloat16, if that is the precision.

        Embeddings stay in float32 and what they return is rounded: the gradient of a frequent token
        is the sum of very many, which bfloat16 would lose. On a CPU the rows of a large one are
        stepped when they are read.
        """
        embeddings = [one for one in self.model.modules() if isinstance(one, nn.Embedding)]
        with ExitStack() as stack:
            for rows in self._lazy:
                stack.enter_context(rows.reading())
            if self._dtype == torch.bfloat16:
                for flat in self._rounded:
                    stack.enter_context(flat.read_as(self._dtype))
                for module in embeddings:
                    stack.callback(module.register_forward_hook(self._round).remove)
            yield

    def _round(self, module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        return output.to(self._dtype) if self._rounding else output

    def backward(self, loss: Tensor, add: bool = False) -> None:
        """Computes the gradient of a loss for the next step, or adds it to that of the others."""
        torch.autograd.backward(self._scaler.scale(loss))
        for flat in self.flats:
            flat.gather(add)

    def mask(self, masks: Mapping[str, Tensor]) -> None:
        """Prunes weights: from now on they, their gradients and their moments are exactly 0.

        With the gradient masked AdamW's moments at a pruned weight stay 0, its update is
        0 / (0 + ε), and decay keeps a 0 at 0.

        Args:
            masks: By parameter name, 0 where a weight is pruned; the others stay as they are.
        """
        with self.reading_whole():
            pruned = masked_parameters(self.model, masks)
        self.masks |= {name: mask for name, (_, mask) in zip(masks, pruned, strict=True)}
        for parameter, mask in pruned:
            if not parameter.requires_grad:
                continue
            flat = next(flat for flat in self.flats if parameter in flat)
            for moments in self.optimizer.state[flat.vector].values():
                if moments.shape == flat.vector.shape:
                    flat.part(moments, parameter).mul_(mask)
            flat.prune(parameter, mask)

    @contextmanager
    def reading_whole(self) -> Iterator[None]:
        """Lets the weights be read, and written to, in float32 inside the block."""
        with ExitStack() as stack:
            for flat in (*self.flats, *self._frozen):
                stack.enter_context(flat.read_whole())
            self._rounding = False
            try:
                yield
            finally:
                self._rounding = True

    def forget(self) -> None:
        """Drops what a backward pass left that did not come to its end."""
        for flat in self.flats:
            flat.forget()

    def step(self) -> None:
        """Moves the parameters against the gradient."""
        self._scaler.unscale_(self.optimizer)
        for flat in self.flats:
            flat.mask_gradient()
        self._clip_gradient()
        self._scaler.step(self.optimizer)
        for rows in self._lazy:
            rows.step()
        self._scaler.update()
        self._schedule.step()
        for flat in self.flats:
            flat.round()

    def _clip_gradient(self) -> None:
        """Shortens the gradient to `gradient_clip` as `torch.nn.utils.clip_grad_norm_` does."""
        parts = [flat.gradient for flat in self.flats]
        factor = self.options.gradient_clip / (nn.utils.get_total_norm(parts) + 1e-6)
        for flat in self.flats:
            flat.scale(factor.clamp(max=1.0))

    def tensors(self) -> dict[str, Tensor]:
        """Returns the tensors that steps change, themselves: weights, moments and buffers."""
        for rows in self._lazy:
            rows.settle()
        buffers = {
            f"buffer.{name}": tensor
            for name, tensor in self.model.state_dict(keep_vars=True).items()
            if not isinstance(tensor, nn.Parameter)
        }
        moments = {
            f"{index}.{name}": tensor
            for index, vector in enumerate(self._vectors)
            for name, tensor in self.optimizer.state[vector].items()
        }
        weights = {f"{i}.weights": vector.detach() for i, vector in enumerate(self._vectors)}
        return weights | moments | buffers

    def numbers(self) -> dict[str, Any]:
        """Returns what steps change besides, for JSON."""
        return {
            "schedule": self._schedule.state_dict(),
            "scaler": self._scaler.state_dict(),
            "micro_batch_size": self.micro_batch_size,
        }

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Goes back to what `tensors` and `numbers` returned of a stepper made alike."""
        for name, place in self.tensors().items():
            place.copy_(tensors[name])
        self.micro_batch_size = numbers["micro_batch_size"]
        self._schedule.load_state_dict(dict(numbers["schedule"]))
        for group, rate in zip(
            self.optimizer.param_groups, self._schedule.get_last_lr(), strict=True
        ):
            group["lr"] = rate
        # Empty where the state was left in a format that needs no scaling, as on another device.
        if numbers["scaler"]:
            self._scaler.load_state_dict(dict(numbers["scaler"]))

    def release(self) -> None:
        """Gives every parameter a storage of its own again, once training is over."""
        for flat in (*self.flats, *self._frozen):
            flat.release()


def masked_parameters(
    model: nn.Module, masks: Mapping[str, Tensor]
) -> list[tuple[nn.Parameter, Tensor]]:
    """Returns each pruned parameter with its mask, and sets the pruned weights to 0."""
    pairs = []
    for name, mask in masks.items():
        parameter = model.get_parameter(name)
        placed = mask.to(parameter.device, parameter.dtype)
        with torch.no_grad():
            parameter.mul_(placed)
        pairs.append((parameter, placed))
    return pairs


def _groups(model: nn.Module, parameters: Sequence[nn.Parameter]) -> dict[str, list[nn.Parameter]]:
    """Returns the parameters that share a vector; a large embedding has one of its own."""
    embedded = embedding_weights(model)
    large = {id(table(shared)) for shared in large_embeddings(model)}
    others = [p for p in parameters if id(p) not in embedded]
    return {
        "embeddings": [p for p in parameters if id(p) in embedded - large],
        "matrices": [p for p in others if decays(p)],
        "vectors": [p for p in others if not decays(p)],
    }


def embedding_weights(model: nn.Module) -> set[int]:
    """Returns the identities of the weights of a model's embeddings."""
    modules = (module for module in model.modules() if isinstance(module, nn.Embedding))
    return {id(module.weight) for module in modules}


def _trainable(modules: Sequence[nn.Module]) -> list[nn.Parameter]:
    return [p for module in modules for p in module.parameters() if p.requires_grad]
