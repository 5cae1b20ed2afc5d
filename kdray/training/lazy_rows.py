"""AdamW's steps of the rows of a large embedding, taken when a row is read.

A batch has a few hundred tokens of the thousands. AdamW moves the other rows too, by what is left
of their moments and by decay, and on a CPU that is most of the time that a small student's
optimizer takes. What a row missed is the same few numbers for all its weights, so it can be made up
for in one go.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from kdray.training.flat import FlatParameters

# Rows of an embedding from which on a batch needs a small part of them.
LARGE = 1024
# What is kept of each row: of the steps that it missed, see `LazyRows`.
_SHRUNK, _MOVED, _LAST, _MISSED, _ROOT = range(5)


class LazyRows(FlatParameters):
    """The weights of an embedding, whose rows are stepped as they are read.

    A row with the moments m and v of step s, w its weights, moves at the steps j = s + 1 … t
    without a gradient by AdamW to

        w P − m Q / (√v + ε √(1 − β₂ˢ)),   m β₁ᵗ⁻ˢ,   v β₂ᵗ⁻ˢ

        P = Πⱼ dⱼ,   Q = Σⱼ ηⱼ √(1 − β₂ʲ) / (1 − β₁ʲ) · (β₁ / √β₂)ʲ⁻ˢ · Πᵢ₌ⱼ₊₁ dᵢ,   dⱼ = 1 − ηⱼ λ

    with the learning rate η and the weight decay λ; P and Q are kept of each row. Only the ε of the
    steps between shrinks with √v here, which a row feels whose gradients are about as small as ε.

    References:
        Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015.
        https://arxiv.org/abs/1412.6980
        Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
        https://arxiv.org/abs/1711.05101

    Args:
        embeddings: One or more that share a weight, on a CPU.

    Attributes:
        mask: 0 where a weight is pruned; None if none is.
    """

    def __init__(self, embeddings: list[nn.Embedding]) -> None:
        super().__init__([table(embeddings)])
        self.vector.grad, self._gradients = None, []
        self.mask: Tensor | None = None
        self._embeddings, self._shape = embeddings, embeddings[0].weight.shape
        self._behind = torch.zeros(5, len(embeddings[0].weight))
        self._is_behind = False
        self._rows = torch.zeros(0, dtype=torch.int64)
        self._values = self.vector.new_zeros(0, self._shape[1])
        self._group: dict[str, Any] = {}
        self._state: dict[str, Tensor] = {}

    def belong_to(self, optimizer: torch.optim.AdamW) -> None:
        """Takes the settings and the moments of an optimizer that has the vector."""
        groups = optimizer.param_groups
        self._group = next(one for one in groups if one["params"][0] is self.vector)
        self._state = optimizer.state[self.vector]

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Lets forward passes inside the block read rows that are up to date, and sets the rest so.

        The gradients are sparse inside the block.
        """
        self._behind.copy_(self._nothing_missed())
        before = [embedding.sparse for embedding in self._embeddings]
        hooks = [one.register_forward_pre_hook(self._read_rows) for one in self._embeddings]
        for embedding in self._embeddings:
            embedding.sparse = True
        try:
            yield
        finally:
            for embedding, hook, sparse in zip(self._embeddings, hooks, before, strict=True):
                embedding.sparse = sparse
                hook.remove()
            self.settle()

    def _read_rows(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if self._is_behind:
            self._catch_up(torch.unique(inputs[0]))

    def settle(self) -> None:
        """Sets all rows up to date."""
        if self._is_behind:
            self._catch_up(None)
            self._is_behind = False

    def _catch_up(self, rows: Tensor | None) -> None:
        behind = self._behind if rows is None else self._behind.index_select(1, rows)
        tensors = self._matrices()
        weight, first, second = tensors if rows is None else _select(tensors, rows)
        kept = behind.unsqueeze(2)
        (beta1, beta2), eps = self._group["betas"], self._group["eps"]
        pace = second.sqrt().addcmul_(kept[_ROOT], torch.tensor(eps))
        weight.mul_(kept[_SHRUNK]).sub_((first / pace).mul_(kept[_MOVED]))
        first.mul_(beta1 ** kept[_MISSED])
        second.mul_(beta2 ** kept[_MISSED])
        if rows is None:
            self._behind.copy_(self._nothing_missed())
        else:
            _put(tensors, rows, (weight, first, second))
            self._are_up_to_date(rows)

    def gather(self, add: bool = False) -> None:
        """Takes the rows of the parameter's gradient that are not 0.

        Args:
            add: Whether they are added to what is there.
        """
        gradient = self._parameters[0].grad
        rows, values = self._rows[:0], self._values[:0]
        if gradient is not None:
            sparse = (gradient if gradient.is_sparse else gradient.to_sparse(1)).coalesce()
            rows, values = sparse.indices()[0], sparse.values()
        if add and len(self._rows):
            together = torch.cat([self._rows, rows]).unsqueeze(0)
            both = torch.cat([self._values, values])
            sparse = torch.sparse_coo_tensor(
                together, both, self._shape, check_invariants=False
            ).coalesce()
            rows, values = sparse.indices()[0], sparse.values()
        self._rows, self._values = rows, values
        self.forget()

    def gradients(self) -> list[Tensor]:
        """Returns what of the gradient is not known to be 0."""
        return [self._values]

    def mask_gradient(self) -> None:
        """Sets the gradient to 0 where a weight is pruned."""
        if self.mask is not None:
            self._values.mul_(self.mask.index_select(0, self._rows))

    def scale(self, factor: Tensor) -> None:
        """Multiplies the gradient."""
        self._values.mul_(factor)

    def step(self) -> None:
        """Moves the rows that have a gradient as AdamW does, and notes what the others miss."""
        self._state["step"] += 1
        step, rate = int(self._state["step"]), float(self._group["lr"])
        beta1, beta2 = self._group["betas"]
        shrinking = 1 - rate * self._group["weight_decay"]
        pace, root = rate / (1 - beta1**step), math.sqrt(1 - beta2**step)
        self._behind[_LAST].mul_(beta1 / math.sqrt(beta2))
        self._behind[_MOVED].mul_(shrinking).add_(self._behind[_LAST], alpha=pace * root)
        self._behind[_SHRUNK].mul_(shrinking)
        self._behind[_MISSED].add_(1)
        self._is_behind = True
        if not len(self._rows):
            return
        tensors, gradient = self._matrices(), self._values
        weight, first, second = _select(tensors, self._rows)
        first.lerp_(gradient, 1 - beta1)
        second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        deviation = second.sqrt().div_(root).add_(self._group["eps"])
        weight.mul_(shrinking).addcdiv_(first, deviation, value=-pace)
        _put(tensors, self._rows, (weight, first, second))
        self._are_up_to_date(self._rows)

    def _are_up_to_date(self, rows: Tensor) -> None:
        self._behind.index_copy_(1, rows, self._nothing_missed().expand(-1, len(rows)))

    def _nothing_missed(self) -> Tensor:
        """Returns what is kept of a row that is at the present step."""
        step = int(self._state["step"])
        root = math.sqrt(1 - self._group["betas"][1] ** step) if step else 1.0
        return torch.tensor([1.0, 0.0, 1.0, 0.0, root]).unsqueeze(1)

    def _matrices(self) -> tuple[Tensor, Tensor, Tensor]:
        vectors = self.vector.detach(), self._state["exp_avg"], self._state["exp_avg_sq"]
        weight, first, second = (vector.view(self._shape) for vector in vectors)
        return weight, first, second

    @contextmanager
    def read_whole(self) -> Iterator[None]:
        """Lets all rows be read, and written to, inside the block."""
        self.settle()
        yield

    def release(self) -> None:
        """Gives the parameter a storage of its own again."""
        self.settle()
        super().release()


def large_embeddings(model: nn.Module) -> list[list[nn.Embedding]]:
    """Returns a model's trainable embeddings that are large; together those that share a weight."""
    found: dict[int, list[nn.Embedding]] = {}
    for module in model.modules():
        if isinstance(module, nn.Embedding) and module.num_embeddings >= LARGE:
            found.setdefault(id(module.weight), []).append(module)
    return [shared for shared in found.values() if table(shared).requires_grad]


def table(shared: list[nn.Embedding]) -> nn.Parameter:
    """Returns the weight of embeddings that share it."""
    return shared[0].get_parameter("weight")


def _select(tensors: tuple[Tensor, ...], rows: Tensor) -> list[Tensor]:
    return [tensor.index_select(0, rows) for tensor in tensors]


def _put(tensors: tuple[Tensor, ...], rows: Tensor, values: tuple[Tensor, ...]) -> None:
    for tensor, value in zip(tensors, values, strict=True):
        tensor.index_copy_(0, rows, value)
