"""What the methods have in common that remove single weights: a mask, and which weights it takes.

A mask only grows: a weight that is pruned stays so.
"""

import fnmatch
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor, nn

from kdray.pruning.base import Prunable, PruningMethod, RatioPruning
from kdray.pruning.schedule import Schedule

PRESERVED = ("*norm*", "*classifier*", "*pooler*", "*embeddings*")


class WeightPruning(PruningMethod):
    """A method that removes single weights of the linear layers."""

    masks_weights: ClassVar[bool] = True
    preserve: list[str] = Field(
        default_factory=lambda: list(PRESERVED),
        description="Patterns of modules that are never pruned.",
    )
    include: list[str] = Field(
        default_factory=list,
        description="Patterns of modules that are pruned all the same, embeddings too.",
    )


class MaskPruning(WeightPruning, RatioPruning):
    """A method that removes a share of these weights, the least important first."""

    ratio: float = Field(0.5, ge=0, lt=1, description="Share of the prunable weights to remove.")
    schedule: Schedule = Field(
        "one_shot",
        description="one_shot; cubic: masks rise in the first half of the training; or "
        "{stages: n}: in n stages with training between them.",
    )

    def prune(
        self, student: Prunable, generator: Generator, share: float | None = None
    ) -> Prunable:
        """Removes the weights of lowest importance: sets them to 0 and returns the masks."""
        wanted = self.ratio if share is None else share
        weights = prunable_weights(student.model, self.preserve, self.include)
        if not weights and wanted > 0:
            raise ValueError(
                f"pruning.preserve {self.preserve} leaves nothing to prune, but ratio is {wanted:g}"
            )
        if not wanted:
            masks = {name: torch.ones_like(weight) for name, weight in weights.items()}
        else:
            scores = self._retained(self.importances(student, weights, generator), student.masks)
            masks = self.masks(scores, wanted)
        both = {name: mask * student.masks.get(name, 1.0) for name, mask in masks.items()}
        for name, mask in both.items():
            weights[name].mul_(mask)
        return replace(student, masks={**student.masks, **both})

    @property
    def rises(self) -> bool:
        """Whether the masks rise step by step during the training."""
        return self.schedule == "cubic"

    def stage_share(self, stage: int) -> float:
        """Returns the share to have removed by a stage, from 1; nothing yet where masks rise."""
        return 0.0 if self.rises else super().stage_share(stage)

    def importances(
        self, student: Prunable, weights: Mapping[str, Tensor], generator: Generator
    ) -> dict[str, Tensor]:
        """Returns the importance of each weight, by parameter name, in the weight's shape."""
        return {name: self.importance(weight, generator) for name, weight in weights.items()}

    def importance(self, weight: Tensor, generator: Generator) -> Tensor:
        """Returns the importance of each weight of a matrix, of which nothing else is known."""
        raise NotImplementedError

    def masks(self, scores: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
        """Returns the masks that remove a share of all weights together, least important first."""
        return lowest_removed(scores, share)

    def _retained(
        self, scores: Mapping[str, Tensor], earlier: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Returns the scores with what is pruned already at −∞, and what must stay at ∞."""
        limit = math.inf if self.importance_threshold is None else self.importance_threshold
        found = {}
        for name, score in scores.items():
            kept = score.float().masked_fill(score > limit, math.inf)
            gone = earlier.get(name)
            found[name] = kept if gone is None else kept.masked_fill(gone == 0, -math.inf)
        return found


class ScopedPruning(MaskPruning):
    """A method that compares all weights with each other, or only those of a matrix."""

    scope: Literal["global", "layer"] = Field(
        "global", description="Compare all weights with each other, or only within a matrix."
    )

    def masks(self, scores: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
        """Returns masks over all weights together, or matrix by matrix."""
        if self.scope == "global":
            return lowest_removed(scores, share)
        parts = [lowest_removed({name: score}, share) for name, score in scores.items()]
        return {name: mask for part in parts for name, mask in part.items()}


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

    Places with a score of ∞ stay, even if fewer go then.

    Args:
        scores: By parameter name; compared across all of them. Ties fall in order of place.
        ratio: Share to remove, in [0, 1).
    """
    if not scores:
        return {}
    flat = torch.cat([score.flatten().float() for score in scores.values()])
    keep, count = flat.new_ones(flat.numel()), round(ratio * flat.numel())
    if count:
        limit = flat.kthvalue(count).values
        keep[flat < limit] = 0
        ties = (flat == limit).nonzero().flatten()
        keep[ties[: count - int((keep == 0).sum())]] = 0
    keep[flat == math.inf] = 1
    parts = torch.split(keep, [score.numel() for score in scores.values()])
    return {name: part.view_as(scores[name]) for name, part in zip(scores, parts, strict=True)}
