"""Feed-forward pruning."""

from typing import Any, Literal

from torch import Generator

from kdray.pruning.base import Prunable
from kdray.pruning.cutting import UnitPruning, coupling, left, most_important
from kdray.pruning.parts import feed_forward_size, feed_forwards, set_feed_forward_size


class FeedForward(UnitPruning):
    """Cut feed-forward units, equally many in each layer.

    The student loads with plain transformers. `ratio` is that of each layer's units.

    Reference: McCarley et al., "Structured Pruning of a BERT-based Question Answering Model", 2019.
    https://arxiv.org/abs/1910.06360
    """

    method: Literal["ffn"] = "ffn"

    def check(self, original: Any) -> None:
        """Checks that units are left.

        Raises:
            ValueError: If none would be.
        """
        total = feed_forward_size(original)
        if not left(total, self.ratio):
            raise ValueError(f"ffn leaves none of {total} units at ratio {self.ratio:g}")

    def check_built(self, model: Any) -> None:
        """Checks that a model is built so that this can cut it.

        Raises:
            ValueError: If its feed-forward units are not where they are known.
        """
        feed_forwards(model)

    def prune(
        self, student: Prunable, generator: Generator, share: float | None = None
    ) -> Prunable:
        """Cuts the units of lowest importance within each layer.

        Raises:
            ValueError: If no unit would be left, or the family cannot be cut.
        """
        model, total = student.model, feed_forward_size(student.original)
        roots, wanted = feed_forwards(model), self.wanted(student, share)
        self.check(student.original)
        kept, present = left(total, wanted), feed_forward_size(model.config)
        if kept >= present:
            return student
        with coupling(student, self) as units:
            scores = [units.scores(root) for root in roots]
            kept = min(self.least(kept, scores), present)
            for root, score in zip(roots, scores, strict=True):
                units.keep(root, most_important(score, kept))
            set_feed_forward_size(model.config, kept)
        return student
