"""Parameters as one vector in float32, which the optimizer steps; the model reads views of it.

One vector is clipped and stepped by a few calls, where a small model's forty tensors take forty
each. A forward pass in bfloat16 reads a copy of the vector, rounded once a step, instead of casting
every weight whenever it is used.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class FlatParameters:
    """Parameters that share one vector.

    Reference: Micikevicius et al., "Mixed Precision Training", 2018 (master weights in float32).
    https://arxiv.org/abs/1710.03740

    Args:
        parameters: On one device, all trainable or all frozen. From now on they are views of the
            vector.

    Attributes:
        vector: All weights, end to end, in float32, with a gradient that `gather` fills.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self._parameters = list(parameters)
        weights = [p.detach().reshape(-1).float() for p in self._parameters]
        self.vector = nn.Parameter(torch.cat(weights), all(p.requires_grad for p in parameters))
        self._weights = self._views(self.vector.detach())
        self._gradients: list[Tensor] = []
        if self.vector.requires_grad:
            self.vector.grad = torch.zeros_like(self.vector)
            self._gradients = self._views(self.vector.grad)
        self._masks: dict[int, Tensor] = {}  # by place among the parameters
        self._rounded: Tensor | None = None
        self._read(self._weights)

    @property
    def gradient(self) -> Tensor:
        """That of the vector, or all of it that is not 0; only of trainable parameters."""
        assert self.vector.grad is not None, "made with the vector"
        return self.vector.grad

    def gather(self, add: bool = False) -> None:
        """Moves the parameters' gradients into that of the vector; without one it is 0.

        Args:
            add: Whether they are added to what is there: in float32, whatever format they have.
        """
        views, dense = [], []
        for view, parameter in zip(self._gradients, self._parameters, strict=True):
            if parameter.grad is not None:
                views.append(view)
                dense.append(parameter.grad)
            elif not add:
                view.zero_()
        if dense:
            move = torch._foreach_add_ if add else torch._foreach_copy_
            move(views, dense)
        self.forget()

    def prune(self, parameter: nn.Parameter, mask: Tensor) -> None:
        """Sets from now on a parameter's gradient to 0 where its mask is 0; see `mask_gradient`."""
        index = next(i for i, own in enumerate(self._parameters) if own is parameter)
        self._masks[index] = mask

    def mask_gradient(self) -> None:
        """Sets the gradient to 0 where a weight is pruned."""
        if self._masks:
            views = [self._gradients[index] for index in self._masks]
            torch._foreach_mul_(views, list(self._masks.values()))

    def scale(self, factor: Tensor) -> None:
        """Multiplies the gradient."""
        self.gradient.mul_(factor)

    def forget(self) -> None:
        """Drops the parameters' gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    def __contains__(self, parameter: nn.Parameter) -> bool:
        return any(own is parameter for own in self._parameters)

    def part(self, vector: Tensor, parameter: nn.Parameter) -> Tensor:
        """Returns the view of a vector like this one that belongs to a parameter."""
        views = zip(self._views(vector), self._parameters, strict=True)
        return next(view for view, own in views if own is parameter)

    def round(self) -> None:
        """Brings the rounded copy up to date, where there is one."""
        if self._rounded is not None:
            self._rounded.copy_(self.vector.detach())

    @contextmanager
    def read_as(self, dtype: torch.dtype) -> Iterator[None]:
        """Lets the parameters be read in another number format inside the block."""
        self._rounded = self.vector.detach().to(dtype)
        self._read(self._views(self._rounded))
        try:
            yield
        finally:
            self._read(self._weights)
            self._rounded = None

    @contextmanager
    def read_whole(self) -> Iterator[None]:
        """Lets the parameters be read, and written to, in float32 inside the block."""
        self._read(self._weights)
        try:
            yield
        finally:
            self.round()
            self._read(self._weights if self._rounded is None else self._views(self._rounded))

    def release(self) -> None:
        """Gives every parameter a storage of its own again."""
        self._read([weight.clone() for weight in self._weights])

    def _views(self, vector: Tensor) -> list[Tensor]:
        parts = torch.split(vector, [p.numel() for p in self._parameters])
        return [part.view(p.shape) for part, p in zip(parts, self._parameters, strict=True)]

    def _read(self, tensors: Sequence[Tensor]) -> None:
        for parameter, tensor in zip(self._parameters, tensors, strict=True):
            parameter.data = tensor
