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
# Steps that there is room for at first.
_FEW = 256
# What is kept for each step that rows may be at, see `LazyRows`: P, Q, (β₁ / √β₂)ᵗ⁻ˢ, β₁ᵗ⁻ˢ, β₂ᵗ⁻ˢ
# and ε √(1 − β₂ˢ).
_SHRUNK, _MOVED, _LAST, _FIRST, _SECOND, _EPS = range(6)


class LazyRows(FlatParameters):
    """The weights of an embedding, whose rows are stepped as they are read.

    A row with the moments m and v of step s, w its weights, moves at the steps j = s + 1 … t
    without a gradient by AdamW to

        w P − m Q / (√v + ε √(1 − β₂ˢ)),   m β₁ᵗ⁻ˢ,   v β₂ᵗ⁻ˢ

        P = Πⱼ dⱼ,   Q = Σⱼ ηⱼ √(1 − β₂ʲ) / (1 − β₁ʲ) · (β₁ / √β₂)ʲ⁻ˢ · Πᵢ₌ⱼ₊₁ dᵢ,   dⱼ = 1 − ηⱼ λ

    with the learning rate η and the weight decay λ; P and Q are the same for all rows of a step s.
    Only the ε of the steps between shrinks with √v here, which a row feels whose gradients are
    about as small as ε.

    References:
        Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015.
        https://arxiv.org/abs/1412.6980
        Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
        https://arxiv.org/abs/1711.05101

    Args:
        embeddings: One or more that share a weight, on a CPU.
    """

    def __init__(self, embeddings: list[nn.Embedding]) -> None:
        super().__init__([table(embeddings)])
        self._gradients = []
        # Weights and both moments, so that a row of all is one place.
        self._all = torch.stack([self.vector.detach()] + [torch.zeros_like(self.vector)] * 2)
        self.vector = nn.Parameter(self._all[0])
        self._weights = self._views(self.vector.detach())
        self._read(self._weights)
        self._embeddings, self._shape = embeddings, embeddings[0].weight.shape
        self._steps = torch.zeros(6, _FEW)  # that rows may be at, since all were up to date
        self._at = torch.zeros(self._shape[0], dtype=torch.int64)  # which of them a row is at
        self._now = 0
        self._rows = self._at[:0]
        self._values = self.vector.new_zeros(0, self._shape[1])
        self._group: dict[str, Any] = {}
        self._state: dict[str, Tensor] = {}

    def belong_to(self, optimizer: torch.optim.AdamW) -> None:
        """Takes the settings of an optimizer that has the vector, and keeps its moments."""
        groups = optimizer.param_groups
        self._group = next(one for one in groups if one["params"][0] is self.vector)
        self._state = optimizer.state[self.vector]
        self._state["exp_avg"], self._state["exp_avg_sq"] = self._all[1], self._all[2]
        self._begin()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Lets forward passes inside the block read rows that are up to date; at its end all are.

        The gradients are sparse inside the block.
        """
        self.settle()
        self._begin()
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

    def _begin(self) -> None:
        """Notes that all rows are up to date."""
        self._now = 0
        self._at.zero_()
        self._steps[:, 0] = self._nothing_missed()

    def _nothing_missed(self) -> Tensor:
        """Returns what is kept for the present step."""
        step = int(self._state["step"])
        # Before the first step moments are 0, and 0 / ε is 0.
        root = math.sqrt(1 - self._group["betas"][1] ** step) if step else 1.0
        return torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0, self._group["eps"] * root])

    def _read_rows(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if self._now:
            rows = torch.unique(inputs[0])
            self._put(rows, self._caught_up(self._select(rows), self._at[rows]))

    def settle(self) -> None:
        """Sets all rows up to date."""
        if self._now:
            self._caught_up(self._all.view(3, *self._shape), self._at)
            self._begin()

    def _caught_up(self, rows: Tensor, at: Tensor) -> Tensor:
        """Moves weights and moments, (3, rows, width), of these steps to the present one."""
        missed = self._steps.index_select(1, at).unsqueeze(2)
        weight, first, second = rows
        pace = second.sqrt().add_(missed[_EPS])
        weight.mul_(missed[_SHRUNK]).sub_(torch.div(first, pace, out=pace).mul_(missed[_MOVED]))
        rows[1:].mul_(missed[_FIRST : _SECOND + 1])
        return rows

    def _select(self, rows: Tensor) -> Tensor:
        return self._all.view(3, *self._shape).index_select(1, rows)

    def _put(self, rows: Tensor, values: Tensor) -> None:
        """Takes weights and moments, (3, rows, width), that are up to date."""
        self._all.view(3, *self._shape).index_copy_(1, rows, values)
        self._at.index_fill_(0, rows, self._now)

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

    @property
    def gradient(self) -> Tensor:
        """Its rows that are not 0."""
        return self._values

    def mask_gradient(self) -> None:
        """Sets the gradient to 0 where a weight is pruned."""
        for mask in self._masks.values():
            self._values.mul_(mask.index_select(0, self._rows))

    def step(self) -> None:
        """Moves the rows that have a gradient as AdamW does, and notes what the others miss."""
        self._state["step"] += 1
        step, rate = int(self._state["step"]), float(self._group["lr"])
        beta1, beta2 = self._group["betas"]
        shrinking = 1 - rate * self._group["weight_decay"]
        pace, root = rate / (1 - beta1**step), math.sqrt(1 - beta2**step)
        last = beta1 / math.sqrt(beta2)
        self._miss(torch.tensor([shrinking, shrinking, last, beta1, beta2, 1.0]), pace * root)
        if not len(self._rows):
            return
        rows, gradient = self._select(self._rows), self._values
        weight, first, second = rows
        first.lerp_(gradient, 1 - beta1)
        second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        deviation = second.sqrt().div_(root).add_(self._group["eps"])
        weight.mul_(shrinking).addcdiv_(first, deviation, value=-pace)
        self._put(self._rows, rows)

    def _miss(self, factors: Tensor, move: float) -> None:
        """Notes for rows of all steps so far that they miss another one."""
        self._now += 1
        if self._now == self._steps.shape[1]:
            self._steps = torch.cat([self._steps, torch.zeros_like(self._steps)], 1)
        steps = self._steps[:, : self._now].mul_(factors.unsqueeze(1))
        steps[_MOVED].add_(steps[_LAST], alpha=move)
        self._steps[:, self._now] = self._nothing_missed()

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
