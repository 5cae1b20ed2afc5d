"""N:M pruning."""

import math
from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor

from kdray.pruning.base import Prunable
from kdray.pruning.masking import WeightPruning, prunable_weights
from kdray.pruning.rows import lowest_of_rows


class NM(WeightPruning):
    """Keep the n weights of largest absolute value of each m consecutive weights of a row.

    The share to remove follows, 1 − n / m, and with it there is no ratio. A row whose length is no
    multiple of m ends with a shorter group of k weights, of which ⌈k · n / m⌉ stay. Hardware that
    computes faster with 2:4 wants rows without one.

    Reference: Zhou et al., "Learning N:M Fine-grained Structured Sparse Neural Networks From
    Scratch", 2021. https://arxiv.org/abs/2102.04010
    """

    method: Literal["n_m"] = "n_m"
    n: int = Field(2, ge=1, description="Weights that stay of each group; less than m.")
    m: int = Field(4, ge=2, description="Consecutive weights of a group.")

    @model_validator(mode="after")
    def _some_of_a_group_go(self) -> "NM":
        if self.n >= self.m:
            raise ValueError(f"n must be less than m, but got n={self.n}, m={self.m}")
        return self

    def prune(
        self, student: Prunable, generator: Generator, share: float | None = None
    ) -> Prunable:
        """Sets the other weights to 0 and returns the masks; whatever the share, it is at once."""
        weights = prunable_weights(student.model, self.preserve, self.include)
        if not weights:
            raise ValueError(f"pruning.preserve {self.preserve} leaves nothing to prune")
        masks = {
            name: self._mask(weight, student.masks.get(name)) for name, weight in weights.items()
        }
        for name, mask in masks.items():
            weights[name].mul_(mask)
        return replace(student, masks={**student.masks, **masks})

    def _mask(self, weight: Tensor, earlier: Tensor | None) -> Tensor:
        """Returns the mask of a matrix, in which what is pruned already goes first."""
        scores = weight.abs()
        if earlier is not None:
            scores = scores.masked_fill(earlier == 0, -math.inf)
        whole = scores.shape[1] // self.m * self.m
        groups = self._groups_masked(scores[:, :whole].reshape(-1, self.m))
        last = self._groups_masked(scores[:, whole:])
        mask = torch.cat([groups.view(len(scores), whole), last], dim=1)
        return mask if earlier is None else mask * earlier

    def _groups_masked(self, scores: Tensor) -> Tensor:
        """Returns the mask of groups, one a row, of m weights or less."""
        size = scores.shape[1]
        return lowest_of_rows(scores, torch.tensor([size - math.ceil(size * self.n / self.m)]))
