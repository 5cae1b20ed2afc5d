"""What every pruning method has.

A new one is one file with one subclass, and one line in `table.py`.
"""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from pydantic import Field
from torch import Generator, Tensor, nn

from kdray.config.validation import Section

PRESERVED = ("*norm*", "*classifier*", "*pooler*", "*embeddings*")


@dataclass(frozen=True)
class Pruned:
    """A pruned model.

    Attributes:
        model: The model, its shapes changed where whole units were removed.
        masks: By parameter name, 1 where a weight stays and 0 where it is pruned; in place of the
            weight, on its device.
    """

    model: nn.Module
    masks: Mapping[str, Tensor] = field(default_factory=dict)


class PruningMethod(Section):
    """A way to remove weights."""

    method: str

    def prune(self, model: nn.Module, generator: Generator) -> Pruned:
        """Prunes a student.

        Args:
            model: The student; the method may change it in place.
            generator: Source of everything random.

        Raises:
            ValueError: If the asked share cannot be removed.
        """
        raise NotImplementedError


class MaskPruning(PruningMethod):
    """A method that removes single weights of the linear layers."""

    ratio: float = Field(0.5, ge=0, lt=1, description="Share of the prunable weights to remove.")
    preserve: list[str] = Field(
        default_factory=lambda: list(PRESERVED),
        description="Patterns of modules that are never pruned.",
    )
    include: list[str] = Field(
        default_factory=list,
        description="Patterns of modules that are pruned all the same, embeddings too.",
    )

    def prune(self, model: nn.Module, generator: Generator) -> Pruned:
        """Removes the weights of lowest importance and returns the masks."""
        weights = prunable_weights(model, self.preserve, self.include)
        if not weights and self.ratio > 0:
            raise ValueError(
                f"pruning.preserve {self.preserve} leaves nothing to prune, but ratio is "
                f"{self.ratio}"
            )
        scores = {name: self.importance(weight, generator) for name, weight in weights.items()}
        return Pruned(model, self.masks(scores))

    def importance(self, weight: Tensor, generator: Generator) -> Tensor:
        """Returns the importance of each weight, in the weight's shape."""
        raise NotImplementedError

    def masks(self, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns the masks that remove `ratio` of all weights together, least important first."""
        return lowest_removed(scores, self.ratio)


def prunable_weights(
    model: nn.Module, preserve: Sequence[str], include: Sequence[str] = ()
) -> dict[str, Tensor]:
    """Returns the weight matrices that may be pruned, by parameter name.

    Those are the linear layers that no pattern of `preserve` names, and the linear layers and
    embeddings that a pattern of `include` names.
    """
    return {
        f"{name}.weight": module.weight.detach()
        for name, module in model.named_modules()
        if (isinstance(module, nn.Linear) and not _named(name, preserve))
        or (isinstance(module, nn.Linear | nn.Embedding) and _named(name, include))
    }


def _named(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatch(name.lower(), pattern.lower()) for pattern in patterns)


def lowest_removed(scores: Mapping[str, Tensor], ratio: float) -> dict[str, Tensor]:
    """Returns masks with a 0 at exactly round(ratio · n) places of the lowest scores.

    Args:
        scores: By parameter name; compared across all of them. Ties fall in order of place.
        ratio: Share to remove, in [0, 1).
    """
    if not scores:
        return {}
    flat = torch.cat([score.flatten().float() for score in scores.values()])
    keep = flat.new_ones(flat.numel())
    keep[flat.argsort(stable=True)[: round(ratio * flat.numel())]] = 0
    parts = torch.split(keep, [score.numel() for score in scores.values()])
    return {name: part.view_as(scores[name]) for name, part in zip(scores, parts, strict=True)}
