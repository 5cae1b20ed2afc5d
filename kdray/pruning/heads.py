"""Head pruning."""

from typing import Any, Literal

import torch
from torch import Generator, Tensor

from kdray.models.heads import Attention, note_heads
from kdray.pruning.base import Prunable
from kdray.pruning.cutting import Coupling, UnitPruning, coupling, left, most_important
from kdray.pruning.parts import attentions


class Heads(UnitPruning):
    """Cut attention heads, those of all layers compared with each other.

    Each layer keeps at least one, and their numbers may differ: such a student loads with
    `kdray.load_student`. `ratio` is that of the heads that its layers had before any pruning.

    Reference: Michel et al., "Are Sixteen Heads Really Better than One?", 2019.
    https://arxiv.org/abs/1905.10650
    """

    method: Literal["heads"] = "heads"

    def check(self, original: Any) -> None:
        """Checks that each layer keeps a head.

        Raises:
            ValueError: If there are too few for that.
        """
        heads = original.num_attention_heads
        if (1 - self.ratio) * heads < 1 - 1e-9:
            raise ValueError(
                f"heads cannot cut {self.ratio:g} of the heads, because each layer keeps one of "
                f"its {heads}"
            )

    def heads_left(self, original: Any) -> frozenset[int]:
        """Returns how many heads the last layer may have: which ones go depends on the weights."""
        heads = original.num_attention_heads
        total = original.num_hidden_layers * heads
        gone = total - left(total, self.ratio)
        return frozenset(range(max(1, heads - gone), heads + 1))

    def check_built(self, model: Any) -> None:
        """Checks that a model is built so that this can cut it.

        Raises:
            ValueError: If its heads are not where they are known.
        """
        attentions(model)

    def prune(
        self, student: Prunable, generator: Generator, share: float | None = None
    ) -> Prunable:
        """Cuts the heads of lowest importance.

        Raises:
            ValueError: If a layer would be left without one, or the family cannot be cut.
        """
        layers, wanted = attentions(student.model), self.wanted(student, share)
        total = len(layers) * student.original.num_attention_heads
        self.check(student.original)
        present = sum(layer.heads for layer in layers)
        if left(total, wanted) >= present:
            return student
        with coupling(student, self) as units:
            scores = [head_scores(units, layer) for layer in layers]
            kept = min(self.least(left(total, wanted), [torch.cat(scores)]), present)
            for layer, heads in zip(layers, best_heads(scores, kept), strict=True):
                keep_heads(units, layer, heads)
            note_heads(student.model.config, [layer.heads for layer in layers])
        return student


def head_scores(units: Coupling, layer: Attention) -> Tensor:
    """Returns the importance of each head of a layer, relative to their mean."""
    return units.scores(layer.projections[0]).view(-1, layer.head_size).mean(1)


def keep_heads(units: Coupling, layer: Attention, heads: list[int]) -> None:
    """Cuts all other heads of a layer, in place."""
    size = layer.head_size
    places = [head * size + offset for head in heads for offset in range(size)]
    units.keep(layer.projections[0], places)
    layer.count_heads()


def best_heads(scores: list[Tensor], count: int) -> list[list[int]]:
    """Returns the heads that stay in each layer: its best, and the best of all others.

    Args:
        scores: By layer, one a head.
        count: Of all layers together, at least one a layer.
    """
    flat = torch.cat(scores).cpu().clone()
    start, starts = 0, []
    for score in scores:
        flat[start + int(score.argmax())] = torch.inf
        starts.append(start)
        start += len(score)
    stays = most_important(flat, count)
    return [
        [place - start for place in stays if start <= place < start + len(score)]
        for start, score in zip(starts, scores, strict=True)
    ]
