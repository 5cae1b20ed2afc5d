"""Whether a loss goes up as its gradient says."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor


def check_gradient(loss: Callable[[Tensor], Tensor], values: Tensor) -> None:
    """Compares the gradient with finite differences along some directions; in float32."""
    leaf = values.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf), leaf)
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        way = torch.randn(values.shape, generator=generator)
        way *= 1e-2 / way.norm()
        rise = (loss(values + way) - loss(values - way)).item() / 2
        # The differences of two float32 losses are as exact as the losses are.
        exact = 1e-6 * (1 + abs(loss(values).item()))
        assert (gradient * way).sum().item() == pytest.approx(rise, rel=0.02, abs=exact)
