"""Width pruning."""

import math
from typing import Any, Literal

from torch import Generator

from kdray.models.heads import note_heads
from kdray.pruning.base import Prunable
from kdray.pruning.cutting import Coupling, UnitPruning, coupling, most_important
from kdray.pruning.heads import head_scores, keep_heads
from kdray.pruning.parts import (
    attentions,
    behind_layers,
    feed_forward_size,
    feed_forwards,
    hidden_root,
    set_feed_forward_size,
)


class Width(UnitPruning):
    """Cut hidden units, attention heads and feed-forward units together, by one ratio.

    Heads keep their size, so the hidden size is a number of whole heads, the nearest one to what
    `ratio` asks for: `kdray validate` lists them. The student loads with plain transformers.

    References: Fang et al., "DepGraph: Towards Any Structural Pruning", 2023.
    https://arxiv.org/abs/2301.12900 Muralidharan et al., "Compact Language Models via Pruning and
    Knowledge Distillation", 2024 (Minitron). https://arxiv.org/abs/2407.14679
    """

    method: Literal["width"] = "width"

    @classmethod
    def reachable(cls, original: Any) -> str:
        """Returns in words which hidden sizes a model can be cut to, and at which ratio."""
        total = original.num_attention_heads
        size, counts = original.hidden_size // total, reachable_heads(original)[1:]
        sizes = ", ".join(f"{count * size} (ratio {1 - count / total:.3g})" for count in counts)
        return f"hidden size {original.hidden_size} can be cut to {sizes or 'nothing smaller'}"

    def check(self, original: Any) -> None:
        """Checks that heads are left.

        Raises:
            ValueError: If less than half a head would be left, or no smaller size can be reached.
        """
        if self.ratio:
            nearest_heads(original, self.ratio)

    def heads_left(self, original: Any) -> frozenset[int]:
        """Returns how many heads each layer may have, stage by stage."""
        shares = [self.stage_share(stage) for stage in range(1, self.stages + 1)]
        counts = {nearest_heads(original, share) for share in shares}
        if self.importance_threshold is not None:
            counts |= {count for count in reachable_heads(original) if count >= min(counts)}
        return frozenset(counts)

    def check_built(self, model: Any) -> None:
        """Checks that a model is built so that this can cut it.

        Raises:
            ValueError: If its heads or feed-forward units are not where they are known.
        """
        attentions(model)
        feed_forwards(model)

    def prune(
        self, student: Prunable, generator: Generator, share: float | None = None
    ) -> Prunable:
        """Cuts the units of lowest importance: hidden ones of all layers, the others by layer.

        Raises:
            ValueError: If no size is near the ratio, or the family cannot be cut.
        """
        original, config = student.original, student.model.config
        attentions(student.model)
        nearest_heads(original, self.ratio)
        size = original.hidden_size // original.num_attention_heads
        heads = nearest_heads(original, self.wanted(student, share))
        if heads * size < config.hidden_size:
            with coupling(student, self) as units:
                self._cut(units, original, heads)
        return student

    def _cut(self, units: Coupling, original: Any, heads: int) -> None:
        model, config = units.model, units.model.config
        layers, forwards = attentions(model), feed_forwards(model)
        in_heads = [head_scores(units, layer) for layer in layers]
        in_forwards = [units.scores(linear) for linear in forwards]
        as_wide = [hidden_root(model), *behind_layers(model)]
        hidden = [units.scores(module) for module in as_wide]
        size = layers[0].head_size
        needed = max(self.least(heads, in_heads), math.ceil(self.least(0, hidden[:1]) / size))
        heads = min(count for count in reachable_heads(original) if count >= needed)
        heads = min(heads, config.hidden_size // size)
        share = heads / original.num_attention_heads
        forward = self.least(round(share * feed_forward_size(original)), in_forwards)
        forward = min(forward, feed_forward_size(config))
        for layer, score in zip(layers, in_heads, strict=True):
            keep_heads(units, layer, most_important(score, min(heads, layer.heads)))
        for linear, score in zip(forwards, in_forwards, strict=True):
            units.keep(linear, most_important(score, forward))
        for module, score in zip(as_wide, hidden, strict=True):
            units.keep(module, most_important(score, heads * size))
        _note(config, heads, heads * size, forward)
        note_heads(config, [layer.heads for layer in layers])


def reachable_heads(original: Any) -> list[int]:
    """Returns the numbers of heads that a model can be cut to, the highest first.

    A model whose embeddings are narrower than its hidden states projects them, but not where both
    are equal: transformers would leave the projection out.

    Args:
        original: Its configuration.
    """
    size = original.hidden_size // original.num_attention_heads
    embedded = getattr(original, "embedding_size", original.hidden_size)
    projected = embedded != original.hidden_size
    counts = range(original.num_attention_heads, 0, -1)
    return [count for count in counts if not (projected and count * size == embedded)]


def nearest_heads(original: Any, share: float) -> int:
    """Returns how many heads each layer keeps when a share is removed; ties go to the higher.

    Args:
        original: The configuration of the model before any pruning.
        share: To remove, in [0, 1).

    Raises:
        ValueError: If less than half a head would be left, or no smaller size can be reached.
    """
    total, counts = original.num_attention_heads, reachable_heads(original)
    asked = round((1 - share) * total, 9)
    found = [count for count in counts if count < total or asked > total - 1]
    if asked < 0.5 or not found:
        sizes = ", ".join(str(count * (original.hidden_size // total)) for count in counts)
        raise ValueError(f"width cannot reach ratio {share:g}: the hidden size can be {sizes}")
    return min(found, key=lambda count: abs(count - asked))


def _note(config: Any, heads: int, hidden: int, forward: int) -> None:
    if getattr(config, "embedding_size", None) == config.hidden_size:
        config.embedding_size = hidden
    config.hidden_size, config.num_attention_heads = hidden, heads
    set_feed_forward_size(config, forward)
