"""What each term of a loss contributes, and whether the loss still is a number."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from kdray.errors import DivergedError

CHECK_INTERVAL = 50
# A scale that is too high is divided by this.
_LESS = 256.0


class Meter:
    """Sums of the terms on the device; read only now and then, because reading waits.

    Attributes:
        gradient_norms: Norm of each term's own gradient, when it was last measured.
    """

    def __init__(self) -> None:
        self.gradient_norms: Mapping[str, float] = {}
        self._sums: dict[str, Tensor] = {}
        self._steps = 0

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Adds the terms of one step, and looks at the sums every 50 steps.

        Raises:
            DivergedError: If a sum is not finite.
        """
        for name, term in terms.items():
            value = term.detach().float()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._steps += 1
        if self._steps % CHECK_INTERVAL == 0:
            self.means()

    def means(self) -> dict[str, float]:
        """Returns the mean of each term over the steps.

        Raises:
            DivergedError: If one is not finite.
        """
        means = {name: float(total) / self._steps for name, total in self._sums.items()}
        wrong = [name for name, mean in means.items() if not math.isfinite(mean)]
        if wrong:
            raise DivergedError(f"the loss is no finite number any more (term {wrong[0]})")
        return means


def gradient_norms(
    terms: Mapping[str, Tensor], parameters: Sequence[nn.Parameter], scale: float = 1.0
) -> dict[str, float]:
    """Returns the L2 norm of each term's own gradient over the parameters.

    Args:
        terms: The terms by name.
        parameters: What they depend on.
        scale: What a term is multiplied by on the way, as float16 has neither small nor large
            numbers; less where that is too much.
    """
    return {name: _gradient_norm(term, parameters, scale) for name, term in terms.items()}


def _gradient_norm(term: Tensor, parameters: Sequence[nn.Parameter], scale: float) -> float:
    if not term.requires_grad:
        return 0.0
    scaled = term * scale
    gradients = torch.autograd.grad(scaled, parameters, retain_graph=True, allow_unused=True)
    squares = [
        (_values(gradient).float() / scale).pow(2).sum()
        for gradient in gradients
        if gradient is not None
    ]
    norm = float(torch.stack(squares).sum().sqrt()) if squares else 0.0
    if math.isfinite(norm) or scale <= 1:
        return norm
    return _gradient_norm(term, parameters, scale / _LESS)


def _values(gradient: Tensor) -> Tensor:
    return gradient.coalesce().values() if gradient.is_sparse else gradient


def shares(values: Mapping[str, float]) -> dict[str, float]:
    """Returns each value divided by the sum of all, or 0 where the sum is 0."""
    total = sum(values.values())
    return {name: value / total if total else 0.0 for name, value in values.items()}
